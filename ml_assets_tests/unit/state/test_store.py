"""Plans as servers read them, numbered and never changed, and what they report."""

import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ml_assets.core.files import TEMPORARY
from ml_assets.records.plan import Arm, ServingPlan, digest, encode
from ml_assets.serving.models.plan_store import (
    PlanStore,
    ServerLease,
    ServerReport,
    StalePlanError,
)


def plan(generation: int, version: str = "a", model: str = "churn") -> ServingPlan:
    arm = Arm(version=version, bundle=f"b/{version}", files={}, runtime="compiled")
    return ServingPlan(
        model=model,
        generation=generation,
        arms=(arm,),
        created_at="2026-11-23T02:00:00+00:00",
        reason="test",
    )


@pytest.fixture
def store(tmp_path: Path) -> PlanStore:
    return PlanStore(tmp_path)


def test_a_model_that_was_never_deployed_has_no_plan(store: PlanStore) -> None:
    assert store.models() == []
    assert store.current("churn") is None
    assert store.history("churn") == []
    assert store.proposal("churn") is None
    assert store.reports("churn") == []


def test_what_others_keep_among_the_plans_is_no_model(store: PlanStore) -> None:
    store.publish(plan(1))
    for name in ("lost+found", ".snapshot", f"{TEMPORARY}dead", "a b"):
        (store.root / "plans" / name).mkdir()
    (store.root / "plans" / "README").write_text("plans")
    (store.root / "plans" / "telco").mkdir()
    assert store.names() == ["churn", "telco"]
    assert store.models() == ["churn"]


def test_the_newest_generation_is_active_and_the_old_ones_stay(
    store: PlanStore,
) -> None:
    for generation in range(1, 13):
        store.publish(plan(generation, f"v{generation}"))
    store.publish(plan(1, model="telco"))
    assert store.current("churn") == plan(12, "v12")
    assert [item.live.version for item in store.history("churn")] == [
        f"v{generation}" for generation in range(1, 13)
    ]
    assert store.read("churn", 3) == plan(3, "v3")
    assert store.models() == ["churn", "telco"]


def test_a_plan_may_be_published_again_and_never_replaced(store: PlanStore) -> None:
    store.publish(plan(1, "a"))
    store.publish(plan(1, "a"))
    with pytest.raises(StalePlanError, match="plan 1 of churn is another one"):
        store.publish(plan(1, "b"))
    assert store.current("churn") == plan(1, "a")


def test_names_of_writes_under_way_are_no_plans(
    store: PlanStore, tmp_path: Path
) -> None:
    store.publish(plan(1))
    (tmp_path / "plans/churn" / f"{TEMPORARY}00-00000002.json").write_text("{")
    (tmp_path / "plans/fresh").mkdir()
    (tmp_path / "plans/fresh" / f"{TEMPORARY}00-00000001.json").write_text("{")
    assert store.current("churn") == plan(1)
    assert store.models() == ["churn"]


def test_a_proposal_is_seen_until_it_is_withdrawn(store: PlanStore) -> None:
    store.propose(plan(1))
    assert store.proposal("churn") == plan(1)
    assert store.current("churn") is None
    store.withdraw("churn")
    assert store.proposal("churn") is None
    store.withdraw("churn")


def test_the_proposal_ends_with_its_commit(store: PlanStore) -> None:
    store.propose(plan(1))
    store.publish(plan(1))
    assert store.proposal("churn") is None


def test_a_proposal_that_a_dead_deployer_left_is_no_longer_asked_for(
    store: PlanStore, tmp_path: Path
) -> None:
    store.publish(plan(1))
    (tmp_path / "plans/churn/proposal.json").write_bytes(encode(plan(1, "late")))
    assert store.proposal("churn") is None


def test_a_plan_keeps_its_digest_through_its_file(store: PlanStore) -> None:
    store.publish(plan(1))
    current = store.current("churn")
    assert current is not None and digest(current) == digest(plan(1))
    assert digest(plan(1)) != digest(plan(1, "b"))


# Servers, as real processes

SERVER = """
import sys
from pathlib import Path
from ml_assets.serving.models.plan_store import PlanStore, ServerLease, ServerReport
root, name = Path(sys.argv[1]), sys.argv[2]
lease = ServerLease(root, name)
print("leased", flush=True)
for line in sys.stdin:
    model, generation, state = line.split()
    state_of = {'server': name, 'model': model, 'generation': int(generation)}
    PlanStore(root).report(ServerReport(**state_of, state=state))
    print("reported", flush=True)
"""


class Server:
    """A process that holds a lease and reports the states that it reads."""

    def __init__(self, root: Path, name: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", SERVER, str(root), name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._expect("leased")

    def _expect(self, word: str) -> None:
        assert self.process.stdout is not None
        assert self.process.stdout.readline().strip() == word

    def report(self, model: str, generation: int, state: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{model} {generation} {state}\n")
        self.process.stdin.flush()
        self._expect("reported")

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[list[Server]]:
    started = [Server(tmp_path, name) for name in ("one", "two")]
    yield started
    for server in started:
        server.kill()


def test_living_servers_are_listed_with_their_report_or_without(
    store: PlanStore, servers: list[Server]
) -> None:
    assert store.reports("churn") == [None, None]
    servers[0].report("churn", 3, "ready")
    servers[1].report("telco", 1, "failed")
    assert store.reports("churn") == [
        ServerReport(server="one", model="churn", generation=3, state="ready"),
        None,
    ]
    servers[0].report("churn", 4, "ready")
    found = store.reports("churn")[0]
    assert found is not None and found.generation == 4


def test_the_reports_of_a_dead_server_are_not_counted(
    store: PlanStore, servers: list[Server], tmp_path: Path
) -> None:
    for server in servers:
        server.report("churn", 1, "ready")
    servers[0].kill()
    assert servers[0].process.returncode == -signal.SIGKILL
    assert (tmp_path / "servers/one/churn.json").exists()
    (left,) = store.reports("churn")
    assert left is not None and left.server == "two"


@pytest.mark.parametrize(
    "name, is_held, is_kept",
    [
        ("here-999999-0a1b2c3d", True, True),
        (f"here-{os.getpid()}-0a1b2c3d", False, False),
        ("here-1-0a1b2c3d", False, False),
        ("starting-1-0a1b2c3d", None, True),
    ],
    ids=[
        "it lives, though its number is nobody's here",
        "it is dead, and we have its number by now",
        "it is dead, and its number is always somebody's",
        "it has no lease yet",
    ],
)
def test_what_a_killed_server_left_goes_and_a_living_one_stays(
    name: str, is_held: bool | None, is_kept: bool, store: PlanStore, tmp_path: Path
) -> None:
    directory = tmp_path / "servers" / name
    if is_held is None:
        directory.mkdir(parents=True)
    else:
        lease = ServerLease(tmp_path, name)
        (directory / "churn.json").write_text("{}")
        if not is_held:
            lease.release()
    store.remove_dead_servers()
    assert directory.exists() is is_kept


def test_the_next_server_removes_what_one_that_was_killed_left(
    store: PlanStore, servers: list[Server], tmp_path: Path
) -> None:
    from ml_assets.serving.process.server import _registered

    servers[0].report("churn", 1, "ready")
    servers[0].kill()
    with _registered(tmp_path) as name:
        left = {path.name for path in (tmp_path / "servers").iterdir()}
        assert left == {"two", name}
    assert [path.name for path in (tmp_path / "servers").iterdir()] == ["two"]


def test_a_server_that_stops_gives_its_lease_back(tmp_path: Path) -> None:
    lease = ServerLease(tmp_path, "here")
    store = PlanStore(tmp_path)
    assert store.reports("churn") == [None]
    lease.release()
    assert store.reports("churn") == []


def test_a_lease_has_its_name_only_when_it_is_held(
    store: PlanStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Who looks whether a lease is held locks it for a moment, and would take it away.
    lock, named = fcntl.flock, []

    def spy(stream: Any, operation: int) -> None:
        if operation & fcntl.LOCK_EX:
            named.append((tmp_path / "servers/here/lease").exists())
        lock(stream, operation)

    monkeypatch.setattr(fcntl, "flock", spy)
    lease = ServerLease(tmp_path, "here")
    assert named == [False]
    assert store.reports("churn") == [None]
    assert [path.name for path in (tmp_path / "servers/here").iterdir()] == ["lease"]
    lease.release()


def test_a_damaged_plan_is_refused_rather_than_guessed(
    store: PlanStore, tmp_path: Path
) -> None:
    store.publish(plan(1))
    (tmp_path / "plans/churn/00000002.json").write_text('{"model": "churn"')
    with pytest.raises(msgspec.DecodeError):
        store.current("churn")
