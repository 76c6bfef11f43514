"""Proposals, and the servers of one machine: what they report, and how they die."""

import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ml_assets.core.files import TEMPORARY
from ml_assets.serving.models.rendezvous import Rendezvous, ServerLease, ServerReport
from ml_assets_tests.kits.plans import numbered_plan as plan


@pytest.fixture
def store(tmp_path: Path) -> Rendezvous:
    return Rendezvous(tmp_path)


def test_without_proposals_and_servers_there_is_nothing(store: Rendezvous) -> None:
    assert store.proposals() == {}
    assert store.proposal("churn") is None
    assert store.reports("churn") == [] and store.dead_servers() == []


def test_a_proposal_is_seen_until_it_is_withdrawn(
    store: Rendezvous, tmp_path: Path
) -> None:
    store.propose(plan(1))
    (tmp_path / "proposals" / f"{TEMPORARY}dead-churn.json").write_text("{")
    (tmp_path / "proposals" / "README").write_text("proposals")
    assert store.proposal("churn") == plan(1)
    assert [*store.proposals()] == ["churn"]
    store.withdraw("churn")
    assert store.proposal("churn") is None and store.proposals() == {}
    store.withdraw("churn")


def test_another_proposal_is_known_without_reading_it(store: Rendezvous) -> None:
    store.propose(plan(1))
    before = store.proposals()
    assert store.proposals() == before
    store.propose(plan(1, "b"))
    assert store.proposals() != before


def test_only_a_living_server_with_its_mark_takes_requests(
    store: Rendezvous, tmp_path: Path
) -> None:
    lease = ServerLease(tmp_path, "0123456789ab-7-x")
    assert not store.takes_requests("0123456789ab")
    store.handoff_mark("0123456789ab-7-x").touch()
    assert store.takes_requests("0123456789ab")
    assert not store.takes_requests("ba9876543210")
    # A server that was killed leaves its mark, and no lease.
    lease.release()
    assert not store.takes_requests("0123456789ab")


# Servers, as real processes

SERVER = """
import sys
from pathlib import Path
from ml_assets.serving.models.rendezvous import Rendezvous, ServerLease, ServerReport
from ml_assets_tests.kits.plans import numbered_plan as plan
from ml_assets_tests.kits.plans import numbered_plan as plan
from ml_assets_tests.kits.plans import numbered_plan as plan
root, name = Path(sys.argv[1]), sys.argv[2]
lease = ServerLease(root, name)
print("leased", flush=True)
for line in sys.stdin:
    model, generation, state = line.split()
    state_of = {'server': name, 'model': model, 'generation': int(generation)}
    Rendezvous(root).report(ServerReport(**state_of, state=state))
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
    store: Rendezvous, servers: list[Server]
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
    store: Rendezvous, servers: list[Server], tmp_path: Path
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
    name: str, is_held: bool | None, is_kept: bool, store: Rendezvous, tmp_path: Path
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
    store: Rendezvous, servers: list[Server], tmp_path: Path
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
    store = Rendezvous(tmp_path)
    assert store.reports("churn") == [None]
    lease.release()
    assert store.reports("churn") == []


def test_a_lease_has_its_name_only_when_it_is_held(
    store: Rendezvous, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
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
