"""SIGKILL at every change, and at random moments: readers see old or new.

The jobs run in processes of their own against one Dagster home. Each test prints what
it killed and what came of it; see it with ``pytest -s``.
"""

import random
import time
from collections import Counter
from pathlib import Path

import pytest

from ml_assets.state.ledger import Ledger
from ml_assets_tests.kits.copies import copy_installation, copy_objects, copy_rows
from ml_assets_tests.kits.decisions import DECISIONS, killed_at, make, race
from ml_assets_tests.kits.processes import MODEL, Platform

pytestmark = pytest.mark.slow

# Of the changes of a job, each of the installations is killed at others.
STRIDE = 9
FIRST = {"directory": 0, "s3": 3, "azure": 6}


def kind_of(url: str) -> str:
    return {"s3:": "s3", "az:": "azure"}.get(url[:3], "directory")


@pytest.fixture
def platform(
    installation: str, registry: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> Platform:
    """A new platform: nothing was trained."""
    return Platform(home, monkeypatch)


@pytest.fixture
def trained(
    two_versions: Path, installation: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> Platform:
    """A copy of these two versions."""
    platform = Platform(home, monkeypatch)
    copy_installation(two_versions, home)
    return platform


def test_a_training_that_is_killed_at_a_change_is_made_good_by_the_next(
    platform: Platform, installation: str
) -> None:
    killed, at = 0, FIRST[kind_of(installation)]
    while platform.start("train", dies_at=at).dies():
        killed, at = killed + 1, at + STRIDE
        platform.check()
        # What has a record is taken up; what has none does not exist.
        assert len(platform.versions.names(MODEL)) <= 1
        assert platform.deployed() == []
    platform.check()
    (version,) = platform.versions.names(MODEL)
    assert platform.evaluated() == {version}
    assert killed > 2
    print(f"\nkilled {killed} times; then: 1 version")


def test_a_deployment_that_is_killed_at_a_change_is_finished_by_the_next(
    trained: Platform,
) -> None:
    first, second = trained.versions.names(MODEL)
    killed = 0
    while trained.start("deploy", dies_at=2 * killed + 1, version=second).dies():
        killed += 1
        trained.check()
        assert trained.deployed() in ([first], [first, second])
    trained.complete("deploy", version=second)
    trained.check()
    trained.check_finished()
    assert trained.deployed() == [first, second]
    assert killed > 1
    print(f"\nkilled {killed} times; then: plan 2, its aliases and profile")


@pytest.mark.parametrize("name", DECISIONS)
def test_a_decision_that_is_killed_at_any_change_is_made_once(
    trained: Platform, installation: str, two_versions: Path, name: str
) -> None:
    first, second = trained.versions.names(MODEL)
    served = {"deployment": second, "rollback": first, "promotion": second}
    # On buckets at every other one, before the change or after it.
    first_at, stride = {"directory": (0, 1), "s3": (0, 2), "azure": (1, 2)}[
        kind_of(installation)
    ]
    at, was_killed = first_at, True
    while was_killed:
        copy_rows(two_versions)
        copy_objects(two_versions, "plans", "pinned")
        DECISIONS[name].prepare()
        before = trained.deployed()
        was_killed = killed_at(name, trained.spec, at)
        trained.check()
        assert len(trained.deployed()) - len(before) in (0, 1)
        make(name, trained.spec)
        trained.check()
        assert trained.deployed() == [*before, served[name]]
        assert trained.plans.late() == []
        assert [*Ledger().held(MODEL)] == ([second] if name == "rollback" else [])
        at += stride
    assert at > 8
    print(f"\nkilled {at // stride - 1} times; {name} is made once each time")


@pytest.mark.parametrize("name", DECISIONS)
def test_a_decision_that_several_make_at_once_is_made_once(
    trained: Platform, name: str
) -> None:
    DECISIONS[name].prepare()
    before = trained.deployed()
    race(name, trained.spec, 4)
    trained.check()
    assert len(trained.deployed()) == len(before) + 1
    assert trained.plans.late() == []


def test_kills_at_random_moments_leave_old_or_new(trained: Platform) -> None:
    dice = random.Random(20261123)
    seconds = {}
    for job, config in (("train", {"force": True}), ("deploy", {})):
        began = time.monotonic()
        trained.complete(job, **config)
        seconds[job] = time.monotonic() - began
    outcomes: Counter[str] = Counter()
    for job, config in (("train", {"force": True}), ("deploy", {})):
        ends = time.monotonic() + dice.uniform(0.2, 1.1) * seconds[job]
        before = len(trained.versions.names(MODEL)), len(trained.deployed())
        process = trained.start(job, **config)
        killed = process.kill_when(lambda: time.monotonic() > ends)
        trained.check()
        after = len(trained.versions.names(MODEL)), len(trained.deployed())
        outcomes[f"{job}: {'killed' if killed else 'ended'}"] += 1
        outcomes[f"{job}: {'new' if after != before else 'old'}"] += 1
    trained.complete("train", force=True)
    trained.complete("deploy")
    trained.check()
    trained.check_finished()
    newest = trained.versions.names(MODEL)[-1]
    assert trained.deployed()[-1] == newest
    assert newest in trained.evaluated()
    print(f"\n{dict(sorted(outcomes.items()))}")
