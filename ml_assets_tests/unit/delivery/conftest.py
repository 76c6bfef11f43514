"""A registry, a client of it, and two environments."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ml_assets.core.retry import Retry
from ml_assets.delivery.oci_repository import Repository
from ml_assets.delivery.oci_session import Credentials, RegistrySession
from ml_assets_tests.kits.environment import environments
from ml_assets_tests.kits.oci import RegistryDouble, registry_double
from ml_assets_tests.kits.releases import ReleaseSite


@pytest.fixture
def registry() -> Iterator[RegistryDouble]:
    with registry_double() as running:
        yield running


@pytest.fixture
def waits() -> list[float]:
    """The pauses that `connect` made."""
    return []


@pytest.fixture
def connect(registry: RegistryDouble, waits: list[float]) -> Callable[..., Repository]:
    """Makes a client that waits for nothing."""

    def make(**credentials: str) -> Repository:
        retry = Retry(attempts=4, sleep=waits.append)
        session = RegistrySession(registry.url, Credentials(**credentials), retry)
        return Repository(registry.image, session)

    return make


@pytest.fixture
def site(
    home: Path, registry: RegistryDouble, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ReleaseSite]:
    staging, production = environments(monkeypatch)
    monkeypatch.setenv("ML_ASSETS_RELEASE_REPOSITORY", registry.image)
    with staging.running(), production.running():
        yield ReleaseSite(home, registry, (staging, production))
