"""Rolling out on this machine: with servers, without, and with servers that fail."""

import hashlib
import json
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from ml_assets.core.files import write_bytes
from ml_assets.records.plan import Arm, ServingPlan, digest
from ml_assets.serving.models.rendezvous import Rendezvous, ServerLease, ServerReport
from ml_assets.state.plans import Plans
from ml_assets.targets import RolloutError, UnreachableError
from ml_assets.targets.base import preflight
from ml_assets.targets.local import LocalTarget
from ml_assets_tests.kits.buckets import copy_into
from ml_assets_tests.kits.outages import Outage
from ml_assets_tests.kits.plans import apply
from ml_assets_tests.kits.processes import await_true
from ml_assets_tests.kits.serving import Server, plan, rows, write_version

Answer = Callable[[ServingPlan], ServerReport | None]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Arm, Arm]:
    """Two versions, in a storage that is copied for each test."""
    root = tmp_path_factory.mktemp("trained")
    return root, write_version(root, "a", 0), write_version(root, "b", 1)


@pytest.fixture
def a(trained: tuple[Path, Arm, Arm]) -> Arm:
    return trained[1]


@pytest.fixture
def b(trained: tuple[Path, Arm, Arm]) -> Arm:
    return trained[2]


@pytest.fixture
def root(trained: tuple[Path, Arm, Arm], home: Path) -> Path:
    """The storage, which is the home directory as well, with no plan yet."""
    return shutil.copytree(trained[0], home, dirs_exist_ok=True)


@pytest.fixture
def target(root: Path) -> LocalTarget:
    return LocalTarget()


def assert_unchanged(target: LocalTarget, before: ServingPlan | None) -> None:
    assert Plans().current("census") == before
    assert target.servers.proposals() == {}


def test_without_a_server_the_plan_is_tried_and_activated(
    target: LocalTarget, a: Arm, b: Arm
) -> None:
    assert apply(target, plan(a, 1)) == (plan(a, 1), 0)
    assert apply(target, plan(b, 2)) == (plan(b, 2), 0)
    assert_unchanged(target, plan(b, 2))
    assert Plans().history("census") == [plan(a, 1), plan(b, 2)]


def test_the_active_plan_may_be_applied_again_and_makes_no_new_one(
    target: LocalTarget, a: Arm
) -> None:
    apply(target, plan(a, 1))
    assert apply(target, plan(a, 1)) == (plan(a, 1), 0)
    assert Plans().history("census") == [plan(a, 1)]


def test_a_plan_that_somebody_overtook_is_refused(
    target: LocalTarget, a: Arm, b: Arm
) -> None:
    apply(target, plan(a, 1))
    with pytest.raises(RolloutError, match="generation 1 already exists"):
        apply(target, plan(b, 1))
    assert_unchanged(target, plan(a, 1))


# Versions that must not serve


def test_an_altered_file_is_refused_by_its_digest(
    target: LocalTarget, root: Path, a: Arm, b: Arm
) -> None:
    apply(target, plan(a, 1))
    path = root / b.bundle / "runtime.npz"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(RolloutError, match="version b was refused: .*runtime.npz"):
        apply(target, plan(b, 2))
    assert_unchanged(target, plan(a, 1))


def test_a_version_that_answers_otherwise_than_at_training_is_refused(
    target: LocalTarget, root: Path, a: Arm, b: Arm
) -> None:
    apply(target, plan(a, 1))
    path = root / b.bundle / "probe.json"
    probe = json.loads(path.read_bytes())
    probe["answers"][3] += 1e-5
    write_bytes(path, json.dumps(probe).encode())
    # Every digest is right, so that only the answers differ.
    new = hashlib.sha256(path.read_bytes()).hexdigest()
    altered = msgspec.structs.replace(b, files={**b.files, "probe.json": new})
    with pytest.raises(RolloutError, match="version b was refused: probe row 3 is"):
        apply(target, plan(altered, 2))
    assert_unchanged(target, plan(a, 1))


INTERPRETERS = {
    "crashes": ("kill -SEGV $$", "version b crashed while loading \\(signal 11\\)"),
    "is killed": ("kill -KILL $$", "version b crashed while loading \\(signal 9\\)"),
    "hangs": ("exec sleep 60", "version b did not load within 0.5 s"),
    "fails": ("echo no memory >&2; exit 3", "version b was refused: no memory"),
}


@pytest.mark.parametrize("script, message", INTERPRETERS.values(), ids=INTERPRETERS)
def test_a_version_whose_loading_ends_badly_is_refused_with_the_reason(
    target: LocalTarget,
    a: Arm,
    b: Arm,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    script: str,
    message: str,
) -> None:
    apply(target, plan(a, 1))
    interpreter = tmp_path / "python"
    interpreter.write_text(f"#!/bin/sh\ncat > /dev/null\n{script}\n")
    interpreter.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(interpreter))
    target.timeout = 0.5 if script.startswith("exec") else 60.0
    with pytest.raises(RolloutError, match=message):
        apply(target, plan(b, 2))
    assert_unchanged(target, plan(a, 1))


@pytest.mark.slow
@pytest.mark.parametrize("outage", ["s3"], indirect=True)
def test_a_storage_that_hangs_is_no_verdict_on_the_version(
    outage: Outage, a: Arm
) -> None:
    outage.mode = "hang"
    with pytest.raises(UnreachableError, match="version a was not fetched: the storag"):
        # Sooner than the storage is given up.
        preflight(a, timeout=0.5)


# Servers


@pytest.fixture
def url(trained: tuple[Path, Arm, Arm], home: Path, installation: str) -> str:
    """A storage of each kind, with the bundles of two versions and no plan yet."""
    copy_into(installation, trained[0])
    return installation


@pytest.mark.slow
def test_a_running_server_prepares_and_swaps_and_refuses(
    monkeypatch: pytest.MonkeyPatch, url: str, home: Path, a: Arm, b: Arm
) -> None:
    target = LocalTarget()
    with Server(home, storage=url) as server:
        assert apply(target, plan(a, 1)) == (plan(a, 1), 1)
        assert server.predict(rows(1))["version"] == "a"
        assert apply(target, plan(b, 2)) == (plan(b, 2), 1)
        assert server.predict(rows(1))["version"] == "b"
        (report,) = target.servers.reports("census")
        assert report is not None
        assert (report.generation, report.state, report.proposal) == (2, "ready", None)
        # What only the server sees as broken is refused by the server.
        monkeypatch.setattr("ml_assets.targets.local.preflight", lambda *_: None)
        files = {**a.files, "model.skops": "0" * 64}
        missing = msgspec.structs.replace(a, bundle="bundles/none", files=files)
        with pytest.raises(RolloutError, match="server .* refused the plan: .*none"):
            apply(target, plan(missing, 3))
        assert_unchanged(target, plan(b, 2))
        assert server.predict(rows(1))["version"] == "b"
        assert server.stop() == 0
    assert target.servers.reports("census") == []


@pytest.mark.slow
def test_a_server_that_is_killed_while_it_prepares_holds_nobody_up(
    url: str, home: Path, a: Arm, b: Arm
) -> None:
    target = LocalTarget()
    apply(target, plan(a, 1))
    with Server(home, storage=url) as server:
        await_true(
            lambda: [r and r.state for r in target.servers.reports("census")]
            == ["ready"],
            "the server is ready",
        )
        # Stopped: alive by its lease, and it never answers.
        server.process.send_signal(signal.SIGSTOP)
        done: list[object] = []
        thread = threading.Thread(target=lambda: done.append(apply(target, plan(b, 2))))
        thread.start()
        await_true(lambda: target.servers.proposal("census"), "the plan is proposed")
        assert Plans().current("census") == plan(a, 1)
        server.process.kill()
        thread.join(20)
    assert done == [(plan(b, 2), 0)]
    assert_unchanged(target, plan(b, 2))


class Peer:
    """A living server in this process that answers proposals by a function."""

    def __init__(self, root: Path, answer: Answer) -> None:
        self.servers, self.answer = Rendezvous(root), answer
        self.lease = ServerLease(root, "peer")
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self._follow)
        self.thread.start()

    def _follow(self) -> None:
        while not self.stopped.wait(0.01):
            plan_now = self.servers.proposal("census") or Plans().current("census")
            report = self.answer(plan_now) if plan_now else None
            if report is not None:
                self.servers.report(report)

    def stop(self) -> None:
        self.stopped.set()
        self.thread.join()
        self.lease.release()


@pytest.fixture
def peer(root: Path) -> Iterator[Callable[[Answer], Peer]]:
    peers: list[Peer] = []

    def start(answer: Answer) -> Peer:
        peers.append(Peer(root, answer))
        return peers[-1]

    yield start
    for item in peers:
        item.stop()


def report(state: str, found: ServingPlan, generation: int) -> ServerReport:
    return ServerReport(
        server="peer",
        model="census",
        generation=generation,
        state=state,  # type: ignore[arg-type]
        proposal=digest(found),
        reason="out of memory" if state == "failed" else "",
    )


def test_a_server_that_never_answers_stops_the_rollout_in_time(
    monkeypatch: pytest.MonkeyPatch,
    target: LocalTarget,
    a: Arm,
    b: Arm,
    peer: Callable[[Answer], Peer],
) -> None:
    apply(target, plan(a, 1))
    peer(lambda found: None)
    target.timeout = 0.4
    monkeypatch.setattr("ml_assets.targets.local.preflight", lambda *_: None)
    with pytest.raises(RolloutError) as caught:
        apply(target, plan(b, 2))
    assert str(caught.value) == (
        "1 running server(s) did not prepare the plan within 0.4 s"
    )
    assert_unchanged(target, plan(a, 1))


def test_a_server_that_cannot_load_stops_the_rollout_with_its_reason(
    target: LocalTarget, a: Arm, b: Arm, peer: Callable[[Answer], Peer]
) -> None:
    apply(target, plan(a, 1))
    peer(lambda found: report("failed", found, 1))
    with pytest.raises(
        RolloutError, match="server peer refused the plan: out of memory"
    ):
        apply(target, plan(b, 2))
    assert_unchanged(target, plan(a, 1))


def test_a_server_that_fails_after_the_commit_is_not_counted_as_serving(
    target: LocalTarget, a: Arm, peer: Callable[[Answer], Peer]
) -> None:
    def answer(found: ServingPlan) -> ServerReport:
        if Plans().current("census") is None:
            return report("prepared", found, 0)
        return report("failed", found, 1)

    peer(answer)
    assert apply(target, plan(a, 1)) == (plan(a, 1), 0)


def test_the_report_on_another_proposal_is_not_taken_for_an_answer(
    monkeypatch: pytest.MonkeyPatch,
    target: LocalTarget,
    a: Arm,
    b: Arm,
    peer: Callable[[Answer], Peer],
) -> None:
    peer(lambda found: report("prepared", plan(b, 1), 0))
    target.timeout = 0.4
    monkeypatch.setattr("ml_assets.targets.local.preflight", lambda *_: None)
    with pytest.raises(RolloutError, match="did not prepare the plan"):
        apply(target, plan(a, 1))
    assert_unchanged(target, None)
