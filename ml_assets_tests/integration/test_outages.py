"""The storage is cut off, or the database restarted, in the middle of each step.

The step ends with a sentence that names what did not answer, readers see whole things,
and its repetition makes it good.
"""

import functools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from sqlalchemy import Connection

from ml_assets.assets import retries
from ml_assets.core.storage import StorageUnavailableError
from ml_assets.state.engine import StateError
from ml_assets.state.ledger import Ledger
from ml_assets.state.versions import Versions
from ml_assets.targets import UnreachableError
from ml_assets_tests.conftest import failure_of
from ml_assets_tests.kits.copies import copy_installation, copy_objects, copy_rows
from ml_assets_tests.kits.decisions import DECISIONS, make
from ml_assets_tests.kits.outages import CHANGES, READS, Mode, Outage
from ml_assets_tests.kits.postgres import Address
from ml_assets_tests.kits.processes import MODEL, Platform

pytestmark = pytest.mark.slow

Run = Callable[..., dg.ExecuteInProcessResult]
AWAY = "does not answer for"
RESTARTED = "the database postgresql://ann:***@"
each_outage = pytest.mark.parametrize(
    "outage, mode",
    [("s3", "refuse"), ("s3", "lose"), ("azure", "hang"), ("azure", "lose")],
    indirect=["outage"],
)
with_postgres = pytest.mark.parametrize("database", ["postgresql"], indirect=True)


@pytest.fixture
def platform(registry: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Platform:
    """A platform whose steps are tried again soon."""
    monkeypatch.setattr(retries, "WAIT_SECONDS", 1)
    return Platform(home, monkeypatch)


@pytest.fixture
def trained(platform: Platform, two_versions: Path, outage: Outage) -> Platform:
    """Two versions in the storage that is cut off."""
    copy_installation(two_versions, platform.home)
    return platform


def spec_of(platform: Platform) -> Any:
    from ml_assets.components import TabularClassifier

    return TabularClassifier.model_validate_json(platform.spec.read_text())


@each_outage
def test_a_training_whose_storage_is_cut_off_is_made_good_by_the_next(
    outage: Outage, mode: Mode, platform: Platform, run_job: Run
) -> None:
    spec = spec_of(platform)
    for at in (0, 8, 16) if mode != "lose" else (8,):
        with outage.cut_at(at, mode) as was_reached:
            result = run_job(spec, "train")
        assert was_reached() and result.success == (mode == "lose")
        assert mode == "lose" or AWAY in failure_of(result)
        platform.check()
        assert len(platform.versions.names(MODEL)) <= 1
    result = run_job(spec, "train")
    assert result.success, failure_of(result)
    platform.check()
    (version,) = platform.versions.names(MODEL)
    assert Versions().evaluation(MODEL, version) is not None


@each_outage
def test_a_deployment_goes_on_in_its_run_once_the_storage_answers(
    outage: Outage, mode: Mode, trained: Platform, run_job: Run
) -> None:
    first, second = trained.versions.names(MODEL)
    with outage.cut_at(0, mode):
        # Which is while the step waits for its next attempt.
        back = threading.Timer(3, lambda: setattr(outage, "mode", "through"))
        back.start()
        result = run_job(spec_of(trained), "deploy")
        back.join()
    assert result.success, failure_of(result)
    trained.check()
    assert trained.deployed() == [first, second]
    trained.check_finished()
    kinds = [entry.kind for entry in Ledger().entries(MODEL)]
    assert kinds == ["deployment", "deployment"]


@each_outage
@pytest.mark.parametrize("name", DECISIONS)
def test_a_decision_whose_storage_is_cut_off_is_made_once(
    outage: Outage, mode: Mode, trained: Platform, two_versions: Path, name: str
) -> None:
    calls = ("put",) if mode == "lose" else (*READS, *CHANGES, "open_reader")
    for attempt in again(trained, two_versions, name, 1 if mode == "lose" else 7):
        with outage.cut_at(attempt.at, mode, *calls) as was_reached:
            try:
                make(name, trained.spec)
            except (StorageUnavailableError, UnreachableError) as error:
                assert mode != "lose" and AWAY in str(error)
            attempt.was_last = not was_reached()


@with_postgres
@pytest.mark.parametrize("name", DECISIONS)
def test_a_decision_whose_database_is_restarted_is_made_once(
    database: str, postgres: Address, platform: Platform, two_versions: Path, name: str
) -> None:
    copy_installation(two_versions, platform.home)
    for attempt in again(platform, two_versions, name, 1):
        with restarted_at(attempt.at, postgres) as was_reached:
            try:
                make(name, platform.spec)
            except (StateError, UnreachableError) as error:
                assert RESTARTED in str(error)
            attempt.was_last = not was_reached()


@with_postgres
def test_a_training_whose_database_is_restarted_is_made_good_by_the_next(
    database: str, postgres: Address, platform: Platform, run_job: Run
) -> None:
    spec = spec_of(platform)
    for at in (0, 4, 8):
        with restarted_at(at, postgres) as was_reached:
            result = run_job(spec, "train")
        assert was_reached() and not result.success
        assert RESTARTED in failure_of(result)
        platform.check()
    result = run_job(spec, "train")
    assert result.success, failure_of(result)
    platform.check()
    assert len(platform.versions.names(MODEL)) == 1


@with_postgres
def test_a_deployment_goes_on_in_its_run_once_the_database_is_back(
    database: str,
    postgres: Address,
    platform: Platform,
    two_versions: Path,
    run_job: Run,
) -> None:
    copy_installation(two_versions, platform.home)
    first, second = platform.versions.names(MODEL)
    with restarted_at(0, postgres) as was_reached:
        result = run_job(spec_of(platform), "deploy")
    assert was_reached() and result.success, failure_of(result)
    platform.check()
    platform.check_finished()
    assert platform.deployed() == [first, second]


class Attempt:
    """One of the attempts on a decision: at which call it is cut off."""

    def __init__(self, at: int) -> None:
        self.at = at
        self.was_last = False


def again(
    trained: Platform, two_versions: Path, name: str, stride: int
) -> Iterator[Attempt]:
    """Attempts on a decision, each from the beginning; each is made good after it."""
    first, second = trained.versions.names(MODEL)
    served = {"deployment": second, "rollback": first, "promotion": second}
    attempt = Attempt(0)
    while not attempt.was_last:
        copy_rows(two_versions)
        copy_objects(two_versions, "plans", "pinned")
        DECISIONS[name].prepare()
        before = trained.deployed()
        yield attempt
        trained.check()
        assert trained.deployed() in (before, [*before, served[name]])
        make(name, trained.spec)
        trained.check()
        assert trained.deployed() == [*before, served[name]]
        assert trained.plans.late() == []
        attempt.at += stride
    assert attempt.at > stride


@contextmanager
def restarted_at(number: int, postgres: Address) -> Iterator[Callable[[], bool]]:
    """Restart the database before a commit, counted from 0; whether it came to it."""
    left, commit = [number], Connection.commit

    @functools.wraps(commit)
    def counted(connection: Connection) -> None:
        left[0] -= 1
        if left[0] == -1:
            postgres.restart()
        commit(connection)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Connection, "commit", counted)
        yield lambda: left[0] < 0
