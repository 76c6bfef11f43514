"""A training that dies after it registered its version, before it wrote the record."""

import time
from pathlib import Path

import pytest

from ml_assets.core.storage import storage
from ml_assets.lifecycle.cleanup import clean
from ml_assets.spec.operation import RetentionSpec
from ml_assets.state.registry import Registry
from ml_assets.state.versions import Versions
from ml_assets.targets.local import LocalTarget
from ml_assets_tests.kits.processes import MODEL, Platform

pytestmark = pytest.mark.slow
DAY = 86_400.0


@pytest.fixture
def platform(
    installation: str, registry: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> Platform:
    return Platform(home, monkeypatch)


def registered() -> set[str]:
    """Versions that the registry has, by their names."""
    found = Registry().client.search_model_versions(f"name = '{MODEL}'")
    return {str(item.tags["version"]) for item in found}


def has_spec(version: str) -> bool:
    return storage().size(f"versions/{MODEL}/{version}/spec.json") is not None


def bundles(home: Path) -> int:
    """How many bundles the registry keeps."""
    return len(list(home.glob(f"mlartifacts/{MODEL}/**/model.skops")))


def sweep(home: Path, days: float) -> list[str]:
    """Clean up, `days` from now; what went."""
    target, now = LocalTarget(), time.time() + days * DAY
    return [item.name for item in clean(target, MODEL, RetentionSpec(), now).deletions]


def test_what_a_dead_training_registered_goes_with_its_reserved_name(
    platform: Platform, home: Path
) -> None:
    platform.complete("train")
    kept = registered()
    (trained,) = platform.versions.names(MODEL)
    # The configuration is written after the registry answered, and before the record.
    process = platform.start("train", force=True)
    assert process.kill_when(
        lambda: [name for name in Versions().unfinished(MODEL) if has_spec(name)]
    ), "the training ended before it was killed"
    (orphan,) = Versions().unfinished(MODEL)

    assert registered() == kept | {orphan}
    assert platform.versions.names(MODEL) == [trained]
    assert bundles(home) == 2
    # It could still be running for all that anybody knows.
    assert sweep(home, 0.5) == []

    assert f"versions/{MODEL}/{orphan}" in sweep(home, 2)

    assert registered() == kept
    assert bundles(home) == 1
    experiment = Registry().client.get_experiment_by_name(MODEL)
    runs = Registry().client.search_runs([experiment.experiment_id])
    assert {run.data.tags["version"] for run in runs} == kept
    assert sweep(home, 2) == []
    platform.complete("train", force=True)
    platform.check()


def test_a_registry_that_is_away_puts_it_off(
    platform: Platform, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = platform.start("train")
    process.kill_when(lambda: bool(Versions().unfinished(MODEL)))
    (orphan,) = Versions().unfinished(MODEL)
    with monkeypatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
        assert f"versions/{MODEL}/{orphan}" not in sweep(home, 2)
        assert orphan in Versions().unfinished(MODEL)
    assert f"versions/{MODEL}/{orphan}" in sweep(home, 2)
    assert Versions().unfinished(MODEL) == {}
