"""The model server as a process: plans, signals, load, and clients that misbehave."""

import asyncio
import http.client
import json
import os
import random
import select
import shutil
import signal
import socket
import threading
import time
from collections import Counter
from uuid import uuid4

import msgspec
import pytest

from ml_assets.records.plan import digest, encode
from ml_assets.serving.models.rendezvous import Rendezvous, ServerReport
from ml_assets_tests.kits.serving import Load, Server, plan, slow_client

pytestmark = pytest.mark.slow


def wait_for_report(rendezvous, wanted) -> ServerReport:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        for report in rendezvous.reports("census"):
            if report is not None and wanted(report):
                return report
        time.sleep(0.02)
    raise AssertionError(f"there are only {rendezvous.reports('census')}")


def deploy(server, arm, generation: int) -> None:
    """What the deployer does: propose, wait for the server, commit, wait again."""
    proposed = plan(arm, generation)
    server.rendezvous.propose(proposed)
    wanted = digest(proposed)
    report = wait_for_report(server.rendezvous, lambda item: item.proposal == wanted)
    assert (report.state, report.generation) == ("prepared", generation - 1)
    server.plans.publish(proposed)
    server.rendezvous.withdraw(proposed.model)
    wait_for_report(server.rendezvous, lambda item: item.generation == generation)


def test_it_serves_what_is_active_and_reports_it(storage, versions):
    _, _, given, expected = versions
    with Server(storage) as server:
        server.wait_for("plan loaded")
        answer = server.predict(given)
        found = [item["probability"] for item in answer["predictions"]]
        assert found == expected["a"]
        assert server.get("/v2/health/ready")[0] == 200
        report = wait_for_report(server.rendezvous, lambda item: True)
        assert (report.state, report.generation) == ("ready", 1)
        metrics = server.get("/metrics", server.metrics_port)[1].decode()
        assert 'ml_assets_plan_generation{model="census"} 1.0' in metrics
        assert "ml_assets_ready 1.0" in metrics
        assert server.stop() == 0
    assert server.rendezvous.reports("census") == []


def test_a_server_without_a_plan_lives_and_takes_the_first_one(storage, versions):
    _, arms, _, _ = versions
    shutil.rmtree(storage / "plans")
    shutil.rmtree(storage / "pinned")
    with Server(storage) as server:
        assert server.get("/v2/health/live")[0] == 200
        assert server.get("/v2/health/ready")[0] == 503
        deploy(server, arms["a"], 1)
        assert server.get("/v2/health/ready")[0] == 200


def test_a_plan_change_under_load_loses_nothing(storage, versions):
    _, arms, given, expected = versions
    with Server(storage) as server:
        server.wait_for("plan loaded")
        load = Load(server.port, given, expected, connections=16)

        async def change() -> None:
            await asyncio.sleep(0.3)
            await asyncio.to_thread(deploy, server, arms["b"], 2)
            await asyncio.sleep(0.3)

        asyncio.run(load.run(change()))
        assert load.wrong == [] and load.lost == []
        assert load.order == ["a", "b"]
        assert min(load.answered.values()) > 20


def test_a_proposal_that_was_altered_is_refused_and_the_old_version_serves_on(
    storage, versions
):
    _, arms, given, expected = versions
    with Server(storage) as server:
        server.wait_for("plan loaded")
        model = storage / "bundles" / "b" / "model.skops"
        model.write_bytes(model.read_bytes()[:-1] + b"x")
        proposed = plan(arms["b"], 2)
        server.rendezvous.propose(proposed)
        report = wait_for_report(server.rendezvous, lambda item: item.proposal)
        assert (report.state, report.generation) == ("failed", 1)
        assert "model.skops" in report.reason
        assert server.wait_for("plan refused")["labels.generation"] == 2
        answer = server.predict(given)
        assert answer["version"] == "a"
        server.rendezvous.withdraw("census")
        report = wait_for_report(server.rendezvous, lambda item: item.state == "ready")
        assert report.proposal is None


def test_a_active_plan_that_cannot_be_loaded_leaves_the_old_one(storage, versions):
    _, arms, given, _ = versions
    with Server(storage) as server:
        server.wait_for("plan loaded")
        files = {**arms["b"].files, "model.skops": "0" * 64}
        lost = msgspec.structs.replace(arms["b"], bundle="bundles/none", files=files)
        server.plans.publish(plan(lost, 2))
        report = wait_for_report(server.rendezvous, lambda item: item.state == "failed")
        assert report.generation == 2
        assert server.predict(given)["version"] == "a"
        server.plans.publish(plan(arms["b"], 3))
        server.wait_for("plan loaded", generation=3)
        assert server.predict(given)["version"] == "b"


@pytest.mark.parametrize("name", ["proposals/census.json", "plans/census/active.json"])
def test_a_torn_file_among_the_plans_stops_nothing(storage, versions, name):
    _, arms, given, _ = versions
    with Server(storage) as server:
        server.wait_for("plan loaded")
        torn = storage / name
        torn.parent.mkdir(exist_ok=True)
        torn.write_bytes(encode(plan(arms["b"], 2))[:100])
        reason = server.wait_for("plan refused")["event.reason"]
        assert "Input data was truncated" in reason
        assert server.predict(given)["version"] == "a"
        torn.unlink()
        deploy(server, arms["b"], 2)
        assert server.predict(given)["version"] == "b"


def test_sigterm_under_load_answers_all_and_exits_with_0(storage, versions):
    _, _, given, expected = versions
    with Server(storage) as server:
        server.wait_for("plan loaded")
        load = Load(server.port, given, expected, connections=16)

        async def stop() -> None:
            await asyncio.sleep(0.3)
            server.process.send_signal(signal.SIGTERM)
            assert await asyncio.to_thread(server.process.wait, 30) == 0

        asyncio.run(load.run(stop()))
        assert load.wrong == [] and load.lost == []
        assert load.closed == 16


def test_a_head_that_is_repeated_is_answered_as_when_it_was_new(storage, versions):
    """Whole, in pieces, with another body, together with the next, and changed."""
    _, _, given, expected = versions
    bodies = [json.dumps({"rows": [row]}).encode() for row in given]
    size = max(map(len, bodies))
    bodies = [body.ljust(size) for body in bodies]
    random_ = random.Random(0)
    start = b"POST /models/census/predict HTTP/1.1\r\nhost: a\r\n"
    for_json = b"content-type: application/json\r\ncontent-length: %d\r\n\r\n" % size
    head = start + for_json
    with Server(storage) as server:
        server.wait_for("plan loaded")
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as client:
            # Each piece leaves as it is.
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            answers = client.makefile("rb")
            for number in range(200):
                wanted = random_.sample(range(len(bodies)), 2)
                pieces = [head + bodies[wanted[0]]]
                if number % 4 == 1:
                    at = random_.randrange(1, len(pieces[0]))
                    pieces = [pieces[0][:at], pieces[0][at:]]
                elif number % 4 == 2:
                    pieces = [pieces[0] + head + bodies[wanted[1]]]
                elif number % 4 == 3:
                    id_ = f"x-request-id: r{number}\r\n".encode()
                    pieces = [start + id_ + for_json + bodies[wanted[0]]]
                for piece in pieces:
                    client.sendall(piece)
                for index in wanted[: 2 if number % 4 == 2 else 1]:
                    answer = read_answer(answers)
                    found = answer["predictions"][0]["probability"]
                    assert found == expected["a"][index]
                    if number % 4 == 3:
                        assert answer["request_id"] == f"r{number}"
            client.sendall(head + bodies[0] + b"nonsense\r\n\r\n")
            assert read_answer(answers)["version"] == "a"
            assert answers.readline().split()[1] == b"400"


def read_answer(stream):
    """The JSON of the next answer of a connection."""
    assert stream.readline().split()[1] == b"200"
    length = 0
    while line := stream.readline().strip():
        name, _, value = line.partition(b": ")
        if name == b"content-length":
            length = int(value)
    return json.loads(stream.read(length))


def test_a_port_in_use_is_logged_and_ends_with_1(storage):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        for name in ("--port", "--metrics-port"):
            with pytest.raises(AssertionError, match=f"cannot listen on .*:{port}"):
                Server(storage, name, port)


def test_slow_clients_are_sent_away_and_hold_nobody_else(storage, versions):
    _, _, given, _ = versions
    body = b"POST /models/census/predict HTTP/1.1\r\nhost: a\r\n"
    body += b"content-type: application/json\r\ncontent-length: 100\r\n\r\n{"
    # The head of a second request that begins in the packet of the first one.
    behind = b"GET /models HTTP/1.1\r\nhost: a\r\n\r\nGET /models HTTP/1.1\r\nx: "
    arguments = ("--header-seconds", "1", "--body-seconds", "1")
    with Server(storage, *arguments) as server:
        server.wait_for("plan loaded")
        slow = [slow_client(server.port) for _ in range(150)]
        slow += [slow_client(server.port, body) for _ in range(50)]
        assert server.predict(given)["version"] == "a"
        for connection in (slow[0], slow[-1]):
            assert connection.recv(100).startswith(b"HTTP/1.1 408 ")
        second = slow_client(server.port, behind)
        received = b""
        while part := second.recv(10_000):
            received += part
        assert received.startswith(b"HTTP/1.1 200 ")
        assert received.count(b"HTTP/1.1 408 ") == 1
        for connection in [*slow, second]:
            connection.close()


def test_a_connection_that_is_opened_in_advance_is_closed_without_a_word(storage):
    with Server(
        storage, "--keep-alive-seconds", "1", "--header-seconds", "1"
    ) as server:
        assert slow_client(server.port, b"").recv(100) == b""


def test_surplus_connections_push_out_the_longest_idle_one(storage, versions):
    _, _, given, _ = versions
    with Server(storage, "--max-connections", "8") as server:
        server.wait_for("plan loaded")
        slow = [slow_client(server.port) for _ in range(8)]
        assert server.predict(given)["version"] == "a"
        gone, _, _ = select.select(slow, [], [], 5)
        assert len(gone) == 1
        for connection in slow:
            connection.close()


@pytest.mark.parametrize(
    "sent, status",
    [
        (b"nonsense\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nx: " + b"a" * 400_000, b"431"),
        (b"GET /" + b"a" * 400_000, b"431"),
        (b"GET /models HTTP/1.1\r\n" + b"a: b\r\n" * 60_000, b"431"),
    ],
)
def test_what_is_not_a_reasonable_request_is_refused(storage, sent, status):
    with Server(storage) as server:
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as client:
            client.sendall(sent)
            answer = client.recv(1000)
        assert answer.split()[1] == status
        assert b"application/problem+json" in answer


LONG = b"a" * 3_000_000
CHUNKS = b"4\r\naaaa\r\n"


@pytest.mark.parametrize("connection", ["close", "keep-alive"])
@pytest.mark.parametrize(
    ("first", "rest", "status"),
    [
        ("POST /models/census/predict", b"content-length: 3000000\r\n\r\n" + LONG, 413),
        ("POST /models/other/predict", b"content-length: 3000000\r\n\r\n" + LONG, 404),
        ("PUT /models/census/predict", b"content-length: 3000000\r\n\r\n" + LONG, 405),
        ("GET /models", b"a: b\r\n" * 500_000, 431),
        (
            "POST /models/census/predict",
            b"transfer-encoding: chunked\r\n\r\n" + CHUNKS + b"none" + LONG,
            400,
        ),
        (
            "POST /models/census/predict",
            b"transfer-encoding: chunked\r\n\r\n" + CHUNKS * 300_000 + b"0\r\n\r\n",
            413,
        ),
    ],
)
def test_a_client_that_is_refused_while_it_sends_reads_why(
    storage, connection, first, rest, status
):
    """A socket that is closed before it was read is reset, and its answer lost."""
    head = f"{first} HTTP/1.1\r\nhost: a\r\nconnection: {connection}\r\n".encode()
    head += b"content-type: application/json\r\n"
    with Server(storage, "--max-body-bytes", "1000000") as server:
        server.wait_for("plan loaded")
        with socket.create_connection(("127.0.0.1", server.port), timeout=60) as client:
            client.sendall(head + rest)
            answer = b""
            while b"\r\n\r\n" not in answer:
                answer += client.recv(1000)
            assert answer.split()[1] == b"%d" % status
            if b"connection: close" in answer:
                # The server ends its side, so that a client need not wait.
                answer += b"".join(iter(lambda: client.recv(1000), b""))
        metrics = server.get("/metrics", server.metrics_port)[1].decode()
        assert "ml_assets_in_flight 0.0" in metrics


def test_clients_that_send_on_without_reading_are_closed_after_a_while(storage):
    with Server(storage, "--header-seconds", "0.5", "--body-seconds", "0.5") as server:
        client = slow_client(server.port, b"nonsense\r\n\r\n")
        with pytest.raises(ConnectionError):
            while True:
                client.sendall(b"a")
                select.select([], [], [], 0.05)


def test_a_body_that_never_ends_is_refused_and_not_kept(storage):
    head = b"POST /models/census/predict HTTP/1.1\r\nhost: a\r\n"
    head += b"content-type: application/json\r\n"
    with Server(storage, "--max-body-bytes", "1000000") as server:
        server.wait_for("plan loaded")
        before = server.memory
        for _ in range(10):
            client = slow_client(
                server.port, head + b"transfer-encoding: chunked\r\n\r\n"
            )
            chunk = b"%x\r\n" % 100_000 + b"a" * 100_000 + b"\r\n"
            with pytest.raises(ConnectionError):
                for _ in range(1000):
                    client.sendall(chunk)
            client.close()
        assert server.memory - before < 30_000_000
        declared = head + b"content-length: 1000001\r\n\r\n"
        client = slow_client(server.port, declared)
        assert client.recv(100).startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize(("filling", "status"), [("white space", 200), ("rows", 413)])
def test_64_bodies_of_8_mib_stay_within_the_memory_of_a_pod(
    storage, versions, filling, status
):
    """The limit of the chart is 512 MiB; who is refused learns when to come again."""
    _, _, given, _ = versions
    row = json.dumps({"rows": given[:1]}).encode()
    if filling == "rows":
        item = json.dumps(given[0]).encode()
        row = b'{"rows":[%b]}' % b",".join([item] * (8 * 2**20 // (len(item) + 1) - 1))
    body = row.ljust(8 * 2**20)
    statuses: Counter[int] = Counter()

    def ask(port: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300)
        try:
            connection.request(
                "POST",
                "/models/census/predict",
                body,
                {"content-type": "application/json"},
            )
            answer = connection.getresponse()
            answer.read()
            statuses[answer.status] += 1
        finally:
            connection.close()

    with Server(storage) as server:
        server.wait_for("plan loaded")
        threads = [threading.Thread(target=ask, args=(server.port,)) for _ in range(64)]
        for thread in threads:
            thread.start()
        most = healthy = 0
        while any(thread.is_alive() for thread in threads):
            most = max(most, server.memory)
            healthy += server.get("/v2/health/live")[0] == 200
        print(f"{most / 2**20:.0f} MiB, {dict(statuses)}, {healthy} times healthy")
        assert most < 320 * 2**20
        assert healthy and statuses[status] and set(statuses) <= {status, 503}
        assert server.predict(given)["version"] == "a"


def test_workers_share_the_port_and_a_killed_one_comes_back(storage, versions):
    _, _, given, expected = versions
    with Server(storage, "--workers", "2") as server:
        pids = {server.wait_for("plan loaded")["process.pid"] for _ in range(2)}
        assert len(pids) == 2
        assert len(server.rendezvous.reports("census")) == 2
        victim = pids.pop()
        os.kill(victim, signal.SIGKILL)
        assert server.wait_for("worker ended")["labels.exit_code"] == -signal.SIGKILL
        fresh = server.wait_for("plan loaded")["process.pid"]
        assert fresh not in {victim, *pids}
        assert server.predict(given)["version"] == "a"
        assert server.stop() == 0
    assert Rendezvous(storage).reports("census") == []


def test_a_worker_that_hangs_is_replaced(storage, versions):
    _, _, given, _ = versions
    with Server(storage, "--workers", "2", "--hang-seconds", "2") as server:
        victim = server.wait_for("plan loaded")["process.pid"]
        server.wait_for("plan loaded")
        os.kill(victim, signal.SIGSTOP)
        server.wait_for("worker hangs")
        assert server.wait_for("worker ended")["labels.exit_code"] == -signal.SIGKILL
        assert server.wait_for("plan loaded")["process.pid"] != victim
        assert server.predict(given)["version"] == "a"
        assert server.stop() == 0


def test_a_worker_that_dies_resets_no_connection_that_waits(storage, versions):
    _, _, given, _ = versions
    with Server(storage, "--workers", "2") as server:
        pids = {server.wait_for("plan loaded")["process.pid"] for _ in range(2)}
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        waiting = [
            slow_client(server.port, b"GET /v2/health/live HTTP/1.1\r\nhost: a\r\n\r\n")
            for _ in range(40)
        ]
        victim = pids.pop()
        os.kill(victim, signal.SIGKILL)
        server.wait_for("worker ended")
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
        for connection in waiting:
            assert connection.recv(100).startswith(b"HTTP/1.1 200 ")
            connection.close()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_who_waits_while_no_worker_runs_is_answered_by_those_that_replace_them(
    storage, versions, number
):
    with Server(storage, "--workers", "2", "--hang-seconds", "2") as server:
        pids = {server.wait_for("plan loaded")["process.pid"] for _ in range(2)}
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        waiting = [
            slow_client(server.port, b"GET /v2/health/live HTTP/1.1\r\nhost: a\r\n\r\n")
            for _ in range(40)
        ]
        if number != signal.SIGSTOP:
            for pid in pids:
                os.kill(pid, number)
        for connection in waiting:
            assert connection.recv(100).startswith(b"HTTP/1.1 200 ")
            connection.close()
        for _ in pids:
            server.wait_for("worker ended")


def test_a_client_that_asks_again_loses_nothing_when_workers_are_killed(
    storage, versions
):
    _, _, given, expected = versions
    body = json.dumps({"rows": given}).encode()
    with Server(storage, "--workers", "2") as server:
        pids = [server.wait_for("plan loaded")["process.pid"] for _ in range(2)]
        wrong, answered = [], 0
        stop = threading.Event()

        def ask() -> None:
            nonlocal answered
            while not stop.is_set():
                # As in docs/serving.md: the same request id, so that it counts once.
                found = ask_until_answered(server.port, body, uuid4().hex)
                if [item["probability"] for item in found] != expected["a"]:
                    wrong.append(found)
                answered += 1

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        for pid in pids:
            before = answered
            while answered < before + 50:
                assert any(thread.is_alive() for thread in threads)
                time.sleep(0.01)
            os.kill(pid, signal.SIGKILL)
            server.wait_for("worker ended")
            server.wait_for("plan loaded")
        stop.set()
        for thread in threads:
            thread.join(60)
            assert not thread.is_alive()
        assert wrong == [] and answered >= 100


def ask_until_answered(port: int, body: bytes, request_id: str) -> list:
    """A client that repeats what broke off, and what 503 asks it to repeat."""
    for _ in range(100):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        try:
            connection.request(
                "POST",
                "/models/census/predict",
                body,
                {"content-type": "application/json", "x-request-id": request_id},
            )
            answer = connection.getresponse()
            found = json.load(answer)
            if answer.status == 200:
                return found["predictions"]
            assert answer.status == 503, found
        except (OSError, http.client.HTTPException):
            continue
        finally:
            connection.close()
    raise AssertionError("no answer to 100 requests")


def test_one_port_exposes_the_metrics_of_every_worker(storage, versions):
    _, _, given, _ = versions
    with Server(storage, "--workers", "2") as server:
        pids = {server.wait_for("plan loaded")["process.pid"] for _ in range(2)}
        for _ in range(20):
            server.predict(given)
        text = server.get("/metrics", server.metrics_port)[1].decode()
        found = [
            float(line.rpartition(" ")[2])
            for line in text.splitlines()
            if line.startswith("ml_assets_requests_total{")
            and 'route="predict"' in line
        ]
        assert sum(found) == 20
        for worker in "01":
            assert f'ml_assets_worker_up{{worker="{worker}"}} 1.0' in text
            assert f'_plan_generation{{model="census",worker="{worker}"}} 1.0' in text
        victim = pids.pop()
        os.kill(victim, signal.SIGKILL)
        server.wait_for("plan loaded")
        text = server.get("/metrics", server.metrics_port)[1].decode()
        restarts = [
            line for line in text.splitlines() if "worker_restarts_total{" in line
        ]
        assert sorted(line[-3:] for line in restarts) == ["0.0", "1.0"]
        assert server.stop() == 0


def test_256_connections_for_10_seconds_get_only_right_answers(storage, versions):
    _, arms, given, expected = versions
    queue = ("--max-queue", "256")
    with Server(storage, *queue) as server:
        server.wait_for("plan loaded")
        load = Load(server.port, given, expected, connections=256)

        async def change() -> None:
            await asyncio.sleep(2)
            before = server.memory
            await asyncio.to_thread(deploy, server, arms["b"], 2)
            await asyncio.sleep(8)
            assert server.memory - before < 50_000_000

        asyncio.run(load.run(change()))
        assert load.wrong == [] and load.lost == []
        assert load.order == ["a", "b"]
        assert sum(load.answered.values()) > 1000
        assert server.stop() == 0


def test_log_lines_are_json_and_hold_no_values(storage, versions):
    with Server(storage) as server:
        server.wait_for("plan loaded")
        with pytest.raises(Exception, match="422"):
            server.predict([{"age": "SECRET-VALUE"}])
        assert server.stop() == 0
        server.wait_for("server stopped")
        text = json.dumps(server.seen)
        assert "SECRET-VALUE" not in text and "not JSON" not in text
        assert {"@timestamp", "log.level", "message", "service.name"} <= set(
            server.seen[0]
        )


def test_a_retired_model_is_not_found_until_it_is_deployed_again(storage, versions):
    _, arms, given, expected = versions
    a = arms["a"]
    with Server(storage) as server:
        server.wait_for("plan loaded")
        server.plans.retire(plan(a, 1))
        server.wait_for("model retired")
        status, body = server.get("/v2/models/census")
        assert status == 404 and b"model census is retired" in body
        assert server.get("/v2/health/ready")[0] == 503
        metrics = server.get("/metrics", server.metrics_port)[1].decode()
        assert 'ml_assets_plan_generation{model="census"}' not in metrics
        server.plans.publish(plan(a, 2))
        server.wait_for("plan loaded", generation=2)
        found = [item["probability"] for item in server.predict(given)["predictions"]]
        assert found == expected["a"]
