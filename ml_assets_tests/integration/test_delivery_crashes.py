"""Deliveries in processes of their own that are killed at any moment."""

import os
import random
import signal
from pathlib import Path
from typing import Any

import pytest

from ml_assets.delivery.environments import repository
from ml_assets.delivery.oci_repository import Repository
from ml_assets.delivery.promotion import stage
from ml_assets.delivery.releases import Releases, resolve
from ml_assets.spec.reserved import RELEASE
from ml_assets.state.ledger import Ledger
from ml_assets_tests.kits.environment import FIRST, environments
from ml_assets_tests.kits.oci import COMMITS, build, registry_double
from ml_assets_tests.kits.processes import CONTEXT
from ml_assets_tests.kits.sigstore import signing

pytestmark = pytest.mark.slow

SEED = 20261123


def deliver(home: Path, digest: str, environ: dict[str, str]) -> None:
    """One run; what it prints of an error that ends it is of no interest here."""
    os.environ.clear()
    os.environ.update(environ)
    stage(repository(), Releases().get(digest), "sensor release", "run")


def run(home: Path, digest: str, seconds: float) -> Any:
    """Deliver, and kill the process after so many seconds, if it still runs."""
    process = CONTEXT.Process(target=deliver, args=(home, digest, dict(os.environ)))
    process.start()
    process.join(seconds)
    process.kill()
    process.join()
    return process.exitcode


@pytest.mark.parametrize("fault", ["", "smoke"])
def test_a_release_ends_once_however_often_its_process_is_killed(
    installation: str, home: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    staging, _ = environments(monkeypatch)
    chance, ledger = random.Random(SEED), Ledger()
    with staging.running(), registry_double() as registry:
        monkeypatch.setenv("ML_ASSETS_RELEASE_REPOSITORY", registry.image)
        signing(registry, monkeypatch, home)
        images = build(COMMITS["a"])
        digest = registry.push(images, "main")
        staging.commits[digest] = COMMITS["a"]
        staging.faults[digest] = fault
        resolve(Repository(registry.image), "main")
        killed = 0
        while not ledger.entries(RELEASE):
            # Ever later, so that it comes to an end on every machine.
            seconds = chance.uniform(0.0, 0.2 + killed * 0.1)
            killed += run(home, digest, seconds) == -signal.SIGKILL
        assert killed > 2
        assert ledger.verify(RELEASE) == []
        (entry,) = ledger.entries(RELEASE)
        assert entry.evidence["attempt"] == 1
        assert entry.evidence["before"] == FIRST
        assert staging.launches == 1
        if fault:
            assert entry.kind == "release_failure" and entry.evidence["returned"]
            assert staging.images() == FIRST
        else:
            assert entry.kind == "release_staging" and staging.digest() == digest
        assert staging.settle()
