"""Versions that are not compiled: in processes, which may hang, end or be killed."""

import contextlib
import http.client
import json
import os
import re
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from ml_assets_tests.kits.disturbed import TRUSTED, write_disturbed
from ml_assets_tests.kits.patience import PATIENCE
from ml_assets_tests.kits.plans import published
from ml_assets_tests.kits.prediction_log import logged
from ml_assets_tests.kits.processes import await_true
from ml_assets_tests.kits.serving import Server, plan

pytestmark = pytest.mark.slow

ONE = {"rows": [{"age": 41}]}
CHILD = "ml_assets.serving.library.child"


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: Any


def ask(server: Server, model: str, body: Any = ONE) -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)
    headers = {"content-type": "application/json"}
    path = f"/models/{model}/predict"
    connection.request("POST", path, json.dumps(body), headers)
    found = connection.getresponse()
    answer = Answer(found.status, dict(found.headers), json.loads(found.read()))
    connection.close()
    return answer


def probabilities(answer: Answer) -> list[float]:
    assert answer.status == 200, answer
    return [item["probability"] for item in answer.body["predictions"]]


def children(server: Server) -> list[int]:
    """The library processes of a server."""
    found = []
    for item in Path("/proc").iterdir():
        if item.name.isdigit():
            try:
                parent = (item / "stat").read_text().rpartition(")")[2].split()[1]
                command = (item / "cmdline").read_text()
            except OSError:
                continue
            if int(parent) == server.process.pid and CHILD in command:
                found.append(int(item.name))
    return found


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def metric(server: Server, name: str) -> float:
    text = server.get("/metrics", server.metrics_port)[1].decode()
    found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
    assert found, name
    return float(found[1])


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A storage of two models that are not compiled, ``slow`` and ``other``."""
    found = tmp_path_factory.mktemp("library")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in TRUSTED.items():
            patch.setenv(name, value)
        for model in ("slow", "other"):
            arm = write_disturbed(found, model)
            published(found).publish(plan(arm, 1, model))
    return found


class Disturbance:
    """What the model ``slow`` does instead of answering."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory / "slow"
        self._directory.mkdir(parents=True)
        self.begin("on")

    def begin(self, kind: str) -> None:
        (self._directory / kind).touch()

    def end(self, kind: str) -> None:
        (self._directory / kind).unlink(missing_ok=True)

    def entered(self) -> int:
        """The process that answers for it, once it does."""
        path = self._directory / "entered"
        text = await_true(lambda: path.exists() and path.read_text(), "it is asked")
        path.unlink()
        return int(text)


class Served(NamedTuple):
    server: Server
    slow: Disturbance
    threads: ThreadPoolExecutor

    def later(self, model: str = "slow") -> "Future[Answer]":
        return self.threads.submit(ask, self.server, model)


@pytest.fixture
def start(root: Path, tmp_path: Path) -> Iterator[Callable[..., Served]]:
    """Starts a server of the two models."""
    slow = Disturbance(tmp_path / "disturbed")
    with contextlib.ExitStack() as stack:

        def started(*arguments: str) -> Served:
            environment = {**TRUSTED, "DISTURBED": str(tmp_path / "disturbed")}
            server = Server(
                tmp_path / "home",
                *arguments,
                storage=str(root),
                environment=environment,
            )
            stack.enter_context(server)
            threads = stack.enter_context(ThreadPoolExecutor(16))
            stack.callback(slow.end, "wait")
            for model in ("slow", "other"):
                server.logged("plan loaded", model=model)
            return Served(server, slow, threads)

        yield started


def test_a_model_that_waits_holds_up_no_other_and_its_queue_is_bounded(
    start: Callable[..., Served],
) -> None:
    server, slow, _ = served = start("--max-queue", "3")
    slow.begin("wait")
    waiting = [served.later() for _ in range(3)]
    slow.entered()
    name = 'ml_assets_model_queue_requests{model="slow"}'
    await_true(lambda: metric(server, name) == 3, "three requests wait")
    refused = ask(server, "slow")
    assert (refused.status, refused.headers["retry-after"]) == (503, "1")
    assert probabilities(ask(server, "other")) == [0.41]
    many = {"rows": [{"age": age} for age in range(100)]}
    assert probabilities(ask(server, "other", many)) == [n / 100 for n in range(100)]
    assert server.get("/v2/health/live")[0] == 200
    slow.end("wait")
    assert [probabilities(item.result()) for item in waiting] == [[0.41]] * 3


def test_a_request_whose_process_is_killed_is_answered_by_another(
    start: Callable[..., Served], root: Path
) -> None:
    server, slow, _ = served = start()
    slow.begin("wait")
    waiting = served.later()
    killed = slow.entered()
    others = [served.later("other") for _ in range(8)]
    os.kill(killed, signal.SIGKILL)
    assert {item.result().status for item in others} == {200}
    assert slow.entered() != killed
    slow.end("wait")
    assert probabilities(waiting.result()) == [0.41]
    replaced = 'ml_assets_library_processes_replaced_total{reason="ended"}'
    assert metric(server, replaced) == 1
    await_true(lambda: len(children(server)) == 2, "there are two processes again")
    # Once, although it was asked twice.
    [answered] = waiting.result().body["predictions"]
    request = waiting.result().body["request_id"]
    server.stop()
    lines = logged(sorted((root / "segments" / "slow").glob("*.jsonl")))
    assert [line["id"] for line in lines if line["request"] == request] == [
        answered["id"]
    ]


def test_a_process_that_hangs_is_replaced_and_its_request_gets_504(
    start: Callable[..., Served],
) -> None:
    server, slow, _ = served = start("--answer-seconds", "6")
    slow.begin("wait")
    waiting = served.later()
    hung = slow.entered()
    assert waiting.result().status == 504
    assert waiting.result().body["type"].endswith(":late-answer")
    assert probabilities(ask(server, "other")) == [0.41]
    await_true(lambda: not is_running(hung), "the process is ended")
    slow.end("wait")
    await_true(lambda: ask(server, "slow").status == 200, "it answers again")


def test_a_model_that_ends_its_processes_is_refused_and_ends_one_at_a_time(
    start: Callable[..., Served],
) -> None:
    server, slow, _ = start()
    before = {*children(server)}
    slow.begin("die")
    refused = ask(server, "slow")
    assert (refused.status, refused.headers["retry-after"]) == (503, "1")
    assert refused.body["type"].endswith(":version-failed")
    assert len(before & {*children(server)}) == 1
    assert probabilities(ask(server, "other")) == [0.41]
    slow.end("die")
    assert probabilities(ask(server, "slow")) == [0.41]


def test_what_a_version_raises_is_logged_with_its_trace_and_gets_500(
    start: Callable[..., Served],
) -> None:
    server, slow, _ = start()
    slow.begin("raise")
    assert ask(server, "slow").status == 500
    line = server.logged("a version raised in its process", model="slow")
    assert line["error.type"] == "ZeroDivisionError"
    assert "disturbed.py" in line["error.stack_trace"]
    slow.end("raise")
    assert probabilities(ask(server, "slow")) == [0.41]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_no_process_outlives_its_server_not_even_within_an_answer(
    start: Callable[..., Served], number: signal.Signals
) -> None:
    server, slow, _ = served = start("--shutdown-seconds", "1")
    found = children(server)
    assert len(found) == 2
    slow.begin("wait")
    waiting = served.later()
    slow.entered()
    server.process.send_signal(number)
    code = server.process.wait(PATIENCE)
    assert code == (0 if number == signal.SIGTERM else -signal.SIGKILL)
    await_true(lambda: not any(map(is_running, found)), "they are ended")
    assert waiting.exception() is not None or waiting.result().status >= 500


def test_a_server_whose_versions_are_compiled_has_no_such_process(
    storage: Path, versions: Any
) -> None:
    with Server(storage) as server:
        server.wait_for("plan loaded")
        server.predict(versions[2])
        assert children(server) == []
        assert metric(server, "ml_assets_library_processes") == 0
