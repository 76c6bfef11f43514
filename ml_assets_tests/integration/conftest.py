"""The order of the files, and a home with two versions that are trained once.

The longest files come first, or the last of them runs alone.
"""

import shutil
from pathlib import Path

import pytest

from ml_assets_tests.kits.processes import MODEL, Platform

LONGEST = (
    "test_guides.py",
    "test_compose.py",
    "test_crashes.py",
    "test_exactly_once.py",
    "test_image.py",
    "test_delivery.py",
    "test_prometheus.py",
    "test_demo.py",
    "test_search_engines.py",
    "test_slack.py",
    "test_parts.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    places = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path.name, len(places)))


@pytest.fixture(scope="session")
def two_versions(
    tmp_path_factory: pytest.TempPathFactory, empty_registry: Path
) -> Path:
    """A home in which one version serves and a second has passed its gate."""
    directory = tmp_path_factory.mktemp("two_versions")
    shutil.copy(empty_registry, directory / "mlflow.db")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("ML_ASSETS_STORAGE", raising=False)
        patch.delenv("ML_ASSETS_DATABASE_URL", raising=False)
        platform = Platform(directory, patch)
        platform.complete("train")
        platform.complete("deploy")
        platform.complete("train", force=True)
        platform.check()
        platform.check_finished()
        assert len(platform.versions.names(MODEL)) == 2
    return directory
