"""A registry, a client of it, two environments, and an API like GitHub's."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ml_assets.core.retry import Retry
from ml_assets.delivery.ci_status import CiRead, CiSettings, ci_status
from ml_assets.delivery.oci_repository import Repository
from ml_assets.delivery.oci_session import Credentials, RegistrySession
from ml_assets_tests.kits.environment import environments
from ml_assets_tests.kits.github import (
    NOW,
    REPOSITORY,
    TOKEN,
    GitHubDouble,
    Reader,
    github_double,
)
from ml_assets_tests.kits.oci import RegistryDouble, registry_double
from ml_assets_tests.kits.releases import ReleaseSite
from ml_assets_tests.kits.sigstore import signing


@pytest.fixture
def registry() -> Iterator[RegistryDouble]:
    with registry_double() as running:
        yield running


@pytest.fixture
def waits() -> list[float]:
    """The pauses that a client of `connect` or `read` made."""
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
    sigstore = signing(registry, monkeypatch, home)
    staging, production = environments(monkeypatch)
    monkeypatch.setenv("ML_ASSETS_RELEASE_REPOSITORY", registry.image)
    with staging.running(), production.running():
        yield ReleaseSite(home, registry, (staging, production), sigstore)


@pytest.fixture
def github() -> Iterator[GitHubDouble]:
    with github_double() as running:
        yield running


@pytest.fixture
def read(github: GitHubDouble, waits: list[float]) -> Reader:
    """Reads as a new process does, at a moment, with a token or without."""

    def status(at: float = NOW, token: str = TOKEN, **more: int) -> CiRead:
        settings = CiSettings(REPOSITORY, api=github.url, token=token, **more)
        return ci_status(settings, Retry(3, sleep=waits.append), lambda: at)

    return status
