"""SIGKILL at the moments that matter, and at random ones: readers see old or new.

The jobs run in processes of their own against one Dagster home. Each test prints what
it killed and what came of it; see it with ``pytest -s``.
"""

import random
import shutil
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from ml_assets.core.files import TEMPORARY
from ml_assets.state.versions import Versions
from ml_assets_tests.kits.processes import MODEL, Platform

pytestmark = pytest.mark.slow


@pytest.fixture
def platform(registry: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Platform:
    """A new platform: nothing was trained."""
    return Platform(home, monkeypatch)


@pytest.fixture(scope="module")
def two_versions(
    tmp_path_factory: pytest.TempPathFactory, empty_registry: Path
) -> Path:
    """A home in which one version serves and a second has passed its gate."""
    directory = tmp_path_factory.mktemp("two_versions")
    shutil.copy(empty_registry, directory / "mlflow.db")
    with pytest.MonkeyPatch.context() as patch:
        platform = Platform(directory, patch)
        platform.complete("train")
        platform.complete("deploy")
        platform.complete("train", force=True)
        platform.check()
        platform.check_finished()
        assert len(platform.versions.names(MODEL)) == 2
    return directory


def _reserved() -> bool:
    return bool(Versions().unfinished(MODEL) or Versions().names(MODEL))


# Moments of a first training, each by the file or the row that reports it. A star
# finds temporary names too, [!.] only final ones.
TRAINING: dict[str, str | Callable[[], object]] = {
    "writes the raw table": "tables/churn/raw/*.parquet",
    "writes the features": "tables/churn/features/*.parquet",
    "reserves the version": _reserved,
    "stores the bundle": "versions/churn/*/bundle/*model.skops",
    "registers the bundle": "mlartifacts/churn/**/model.skops",
    "writes the configuration": "versions/churn/*/*spec.json",
    "writes the record": lambda: Versions().names(MODEL),
    "writes the evaluation": lambda: Versions().last_evaluated(MODEL),
}


@pytest.mark.parametrize("moment", TRAINING.values(), ids=TRAINING)
def test_a_training_that_is_killed_is_made_good_by_the_next(
    platform: Platform, moment: str | Callable[[], object]
) -> None:
    seen = platform.sees(moment) if isinstance(moment, str) else moment
    assert platform.start("train").kill_when(lambda: bool(seen())), "ended before"
    platform.check()
    before, reserved = platform.versions.names(MODEL), _reserved()
    assert platform.deployed() == []
    platform.complete("train")
    platform.check()
    # What has a record is taken up; what has none does not exist.
    (version,) = platform.versions.names(MODEL)
    assert before in ([], [version])
    assert platform.evaluated() == {version}
    print(
        f"\nkilled once: name taken {reserved}, record {bool(before)}; rerun: 1 version"
    )


def deploying(platform: Platform) -> dict[str, Callable[[], bool]]:
    """Moments of the second deployment."""
    registry = platform.home / "mlflow.db"
    began = registry.stat().st_mtime_ns
    newest = platform.versions.names(MODEL)[-1]
    commits = platform.sees("plans/churn/*00000002.json")
    return {
        "proposes": platform.sees("plans/churn/*proposal.json"),
        "committed": platform.sees("plans/churn/00000002.json"),
        "labels": lambda: commits() and registry.stat().st_mtime_ns != began,
        "writes the profile": platform.sees(f"versions/churn/{newest}/*profile.json"),
    }


@pytest.mark.parametrize(
    "moment",
    [
        "proposes",
        "committed",
        "labels",
        "writes the profile",
    ],
)
def test_a_deployment_that_is_killed_is_finished_by_the_next(
    two_versions: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    moment: str,
) -> None:
    shutil.copytree(two_versions, tmp_path / "home")
    platform = Platform(tmp_path / "home", monkeypatch)
    first, second = platform.versions.names(MODEL)
    came = deploying(platform)[moment]
    assert platform.start("deploy", version=second).kill_when(came), "ended before"
    platform.check()
    found = platform.deployed()
    assert found in ([first], [first, second])
    for _ in range(2):
        platform.complete("deploy", version=second)
        platform.check()
        platform.check_finished()
        assert platform.deployed() == [first, second]
    print(f"\nkilled once: plan {len(found)} active; rerun: plan 2, labels, profile")


def test_kills_at_random_moments_leave_old_or_new(
    two_versions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(two_versions, tmp_path / "home")
    platform = Platform(tmp_path / "home", monkeypatch)
    dice = random.Random(20261123)
    seconds = {}
    for job, config in (("train", {"force": True}), ("deploy", {})):
        began = time.monotonic()
        platform.complete(job, **config)
        seconds[job] = time.monotonic() - began
    outcomes: Counter[str] = Counter()
    for _ in range(2):
        for job, config in (("train", {"force": True}), ("deploy", {})):
            ends = time.monotonic() + dice.uniform(0.2, 1.1) * seconds[job]
            before = len(platform.versions.names(MODEL)), len(platform.deployed())
            process = platform.start(job, **config)
            killed = process.kill_when(lambda: time.monotonic() > ends)
            platform.check()
            after = len(platform.versions.names(MODEL)), len(platform.deployed())
            outcomes[f"{job}: {'killed' if killed else 'ended'}"] += 1
            outcomes[f"{job}: {'new' if after != before else 'old'}"] += 1
    platform.complete("train", force=True)
    platform.complete("deploy")
    platform.check()
    platform.check_finished()
    newest = platform.versions.names(MODEL)[-1]
    assert platform.deployed()[-1] == newest
    assert newest in platform.evaluated()
    left = len(list(platform.home.rglob(f"{TEMPORARY}*")))
    print(f"\n{dict(sorted(outcomes.items()))}, {left} temporary names never read")
