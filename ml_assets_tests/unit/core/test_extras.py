"""What needs an extra that is not installed names it."""

import subprocess
import sys

import pytest

from ml_assets.core import extras
from ml_assets.delivery.candidates import poll_registry
from ml_assets.delivery.environments import SettingsError, cluster
from ml_assets.delivery.release_ledger import STAGING
from ml_assets.ml.sources import sql
from ml_assets.ml.tables import SourceError
from ml_assets.state.engine import StateError, reading
from ml_assets.targets import TargetError, configured_target
from ml_assets_tests.kits.cli import invoke

ABSENT = sorted({name for names in extras.MODULES.values() for name in names})
ADDRESS = "postgresql://ml@127.0.0.1:1/ml"


@pytest.fixture(autouse=True)
def nothing_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "find_spec", lambda name: None)


@pytest.mark.parametrize("target", ["docker", "kubernetes"])
def test_a_target(target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ML_ASSETS_TARGET", target)
    with pytest.raises(TargetError, match=rf"pip install 'ml-assets\[{target}\]'"):
        configured_target()


def test_the_state_and_a_source_on_postgres(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ML_ASSETS_DATABASE_URL", ADDRESS)
    with pytest.raises(StateError, match=r"pip install 'ml-assets\[postgres\]'"):
        with reading():
            pass
    with pytest.raises(SourceError, match=r"pip install 'ml-assets\[postgres\]'"):
        sql.read_sql(ADDRESS, "SELECT 1")


def test_the_model_server() -> None:
    result = invoke("serve", "--port", "0")
    assert result.exit_code == 1
    assert "the model server needs uvicorn, httptools, uvloop" in result.stderr
    assert "pip install 'ml-assets[serve]'" in result.stderr


def test_the_delivery_of_releases(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "ML_ASSETS_RELEASE_REPOSITORY is not set" in str(poll_registry().problem)
    monkeypatch.setenv("ML_ASSETS_RELEASE_REPOSITORY", "ghcr.io/acme/ml-assets")
    assert "pip install 'ml-assets[delivery]'" in str(poll_registry().problem)
    with pytest.raises(SettingsError, match="the delivery of releases needs"):
        cluster(STAGING)


def test_the_code_location_loads_without_the_packages_of_extras() -> None:
    script = (
        "import sys\n"
        f"sys.modules.update(dict.fromkeys({ABSENT!r}))\n"
        "from ml_assets.definitions import defs\n"
        "print(defs().get_repository_def().has_job('release_staging'))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True
    )
    assert done.stdout.strip() == "True", done.stderr
