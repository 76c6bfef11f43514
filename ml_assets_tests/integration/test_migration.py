"""What the demo of the last release leaves behind, moved and worked with."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ml_assets.core.files import sha256_file
from ml_assets.state.ledger import Ledger
from ml_assets.state.logged import predictions
from ml_assets.state.plans import Plans
from ml_assets_tests.kits.cli import invoke

ROOT = Path(__file__).parents[2]
# The last commit whose state is files.
LAST = "59e6b51"


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """The directory in which the demo of the last release ran."""
    code = tmp_path / "release"
    code.mkdir()
    archive = subprocess.run(
        ["git", "-C", ROOT, "archive", LAST], capture_output=True, check=False
    )
    if archive.returncode:
        pytest.skip(f"commit {LAST} is not in this clone: its history was cut off")
    subprocess.run(["tar", "-x", "-C", code], input=archive.stdout, check=True)
    environment = {
        **{key: os.environ[key] for key in ("PATH", "HOME") if key in os.environ},
        "PYTHONPATH": str(code),
        "ML_ASSETS_HOME": str(tmp_path / "home"),
        "OMP_NUM_THREADS": "1",
    }
    done = subprocess.run(
        [sys.executable, "-m", "ml_assets.cli", "demo"],
        cwd=code,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return tmp_path / "home/demo"


@pytest.mark.slow
def test_an_installation_of_the_last_release_goes_on(
    old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {
        path: sha256_file(path)
        for path in old.rglob("*")
        # The registry stays where it is, and the rollback below changes it.
        if path.is_file() and "dagster" not in path.parts and path.suffix != ".db"
    }
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{old / 'mlflow.db'}")
    monkeypatch.setenv("ML_ASSETS_MODELS", str(old))
    done = invoke("migrate", "--from", str(old))
    assert done.exit_code == 0, done.output
    again = invoke("migrate", "--from", str(old), "--json")
    assert '"copied": 0' in again.stdout and '"copied": 1' not in again.stdout
    for model in ("breast_cancer", "churn"):
        assert Ledger().verify(model) == []
        assert Plans().current(model) is not None
    assert sum(len(day) for day in predictions("churn", ["p"])) > 0
    answered = invoke("predict", "breast_cancer", "--json", stdin="[{}]")
    assert answered.exit_code in (0, 1), answered.output
    rolled = invoke("rollback", "churn", "--reason", "it goes on")
    assert rolled.exit_code == 0, rolled.output
    assert Ledger().verify("churn") == []
    assert before.items() <= {p: sha256_file(p) for p in before}.items()
