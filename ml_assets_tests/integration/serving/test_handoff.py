"""A port that outlives the servers behind it: each a process, under load."""

import asyncio
import contextlib
import json
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ml_assets.serving.process.handoff import SocketHandoff, connect
from ml_assets_tests.kits.patience import PATIENCE
from ml_assets_tests.kits.processes import await_true
from ml_assets_tests.kits.serving import Load, Server


class Stand:
    """A hand-off process, and how to start servers behind it."""

    def __init__(self, directory: Path, port: int = 0) -> None:
        self.path = directory / "run" / "handoff.sock"
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "ml_assets.cli", "handoff"),
                *("--handoff", str(self.path), "--port", str(port)),
            ],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        line = json.loads(self.process.stdout.readline())
        assert line["message"] == "hand-off open"
        self.port: int = line["server.port"]
        threading.Thread(target=self.process.stdout.read, daemon=True).start()

    def server(self, storage: Path) -> Server:
        """A server that takes requests of the hand-off when this returns."""
        server = Server(storage, "--handoff", str(self.path))
        server.logged("behind the hand-off")
        return server

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)


@pytest.fixture
def stand(tmp_path: Path) -> Iterator[Stand]:
    stand = Stand(tmp_path)
    yield stand
    stand.process.kill()
    stand.process.wait()


def test_servers_replace_each_other_under_load_and_nothing_is_lost(
    storage, versions, stand
):
    _, _, given, expected = versions

    async def replace(times: int) -> None:
        for _ in range(times):
            servers.append(await asyncio.to_thread(stand.server, storage))
            assert await asyncio.to_thread(servers.pop(0).stop) == 0
            before = load.answered.total()
            await asyncio.sleep(0.2)
            assert load.answered.total() > before

    servers = [stand.server(storage)]
    load = Load(stand.port, given, expected, connections=8, reconnects=True)
    asyncio.run(load.run(replace(3)))
    assert servers.pop().stop() == 0
    assert (load.wrong, load.lost) == ([], [])
    assert load.closed > 0


def test_connections_that_wait_in_line_when_a_server_leaves_go_to_the_next(
    storage, versions, stand
):
    _, _, given, expected = versions
    first = stand.server(storage)
    assert first.stop() == 0
    # Nobody is there: the port still takes connections, and they wait.
    waiting = [socket.create_connection(("127.0.0.1", stand.port)) for _ in range(50)]
    for connection in waiting:
        connection.sendall(b"GET /v2/health/ready HTTP/1.1\r\nhost: x\r\n\r\n")
    with stand.server(storage):
        for connection in waiting:
            connection.settimeout(30)
            assert connection.recv(64).startswith(b"HTTP/1.1 200")
            connection.close()


def test_a_killed_server_leaves_its_port_to_another(storage, stand):
    with stand.server(storage) as first, stand.server(storage) as second:
        first.process.kill()
        first.process.wait()
        assert _status(stand.port, "/v2/health/ready") == 200
        assert second.stop() == 0


def test_a_server_finds_the_handoff_that_came_back(storage, stand, tmp_path):
    with stand.server(storage) as server:
        stand.process.kill()
        stand.process.wait()
        await_true(lambda: server.get("/v2/health/ready")[0] == 200, "it serves on")
        again = Stand(tmp_path, stand.port)
        server.wait_for("behind the hand-off")
        assert _status(again.port, "/v2/health/ready") == 200
        assert again.stop() == 0


def test_a_server_without_a_plan_stays_away_from_the_handoff(stand, tmp_path):
    with Server(tmp_path / "empty", "--handoff", str(stand.path)) as server:
        await_true(lambda: server.get("/v2/health/live")[0] == 200, "it lives")
        marks = [*(tmp_path / "empty").glob("servers/*/handoff")]
        assert marks == []
        assert server.stop() == 0


def test_the_handoff_answers_503_itself_only_while_nobody_is_behind_it(
    storage, tmp_path
):
    handoff = SocketHandoff("127.0.0.1", 0, tmp_path / "handoff.sock", grace=0.0)
    thread = threading.Thread(target=handoff.run)
    thread.start()
    try:
        status, body = await_true(
            lambda: _problem(handoff.port), "the hand-off answers"
        )
        assert status == 503
        assert body["detail"] == "no server of the model is running"
        with Server(storage, "--handoff", str(tmp_path / "handoff.sock")) as server:
            server.logged("behind the hand-off")
            assert _status(handoff.port, "/v2/health/ready") == 200
            assert server.stop() == 0
        assert _status(handoff.port, "/v2/health/ready") == 503
    finally:
        handoff.close()
        thread.join()
    assert not (tmp_path / "handoff.sock").exists()


def test_clients_read_that_nobody_is_behind_the_handoff_while_they_send(tmp_path):
    handoff = SocketHandoff("127.0.0.1", 0, tmp_path / "handoff.sock", grace=0.0)
    thread = threading.Thread(target=handoff.run)
    thread.start()
    head = b"POST /models/census/predict HTTP/1.1\r\nhost: a\r\n"
    # More than the system takes for the client.
    request = head + b"content-length: 8000000\r\n\r\n" + b"a" * 8_000_000
    address = ("127.0.0.1", handoff.port)

    def ask(_: int) -> bytes:
        with socket.create_connection(address, timeout=PATIENCE) as client:
            client.sendall(request)
            return b"".join(iter(lambda: client.recv(1000), b""))

    try:
        # One that sends nothing holds up nobody.
        with socket.create_connection(address), ThreadPoolExecutor(20) as pool:
            answers = [*pool.map(ask, range(20))]
    finally:
        handoff.close()
        thread.join()
    assert {answer.split()[1] for answer in answers} == {b"503"}


def test_only_the_same_user_may_ask_for_the_port(stand):
    assert stand.path.stat().st_mode & 0o777 == 0o600


def test_what_is_no_handoff_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        connect(tmp_path / "none.sock")
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(tmp_path / "other.sock"))
        other.listen()
        thread = threading.Thread(target=lambda: other.accept()[0].sendall(b"hello"))
        thread.start()
        with pytest.raises(ConnectionError, match="is no hand-off: it said b'hello'"):
            connect(tmp_path / "other.sock")
        thread.join()


def test_a_port_in_use_is_logged_and_ends_with_1(stand, tmp_path):
    done = subprocess.run(
        [
            *(sys.executable, "-m", "ml_assets.cli", "handoff"),
            *("--handoff", str(tmp_path / "second.sock"), "--port", str(stand.port)),
        ],
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 1
    assert f"cannot listen on 127.0.0.1:{stand.port}" in done.stdout + done.stderr


def _status(port: int, path: str) -> int:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as a:
            return a.status
    except urllib.error.HTTPError as error:
        return error.code


def _problem(port: int) -> tuple[int, dict[str, str]] | None:
    with contextlib.suppress(TimeoutError):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/models", timeout=2)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)
    return None
