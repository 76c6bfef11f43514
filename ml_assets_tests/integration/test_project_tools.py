"""``dg`` on this project: a wrong YAML is shown with its line, a new one runs."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from ml_assets.components import TabularClassifier, TabularRegressor

ROOT = Path(__file__).parents[2]
DG = Path(sys.executable).with_name("dg")


def run_dg(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    # The copy of the project is imported, not the one that is installed.
    environment = {**os.environ, "PYTHONPATH": str(project), "COLUMNS": "200"}
    return subprocess.run(
        [str(DG), *arguments],
        cwd=project,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of this project that a test may spoil."""
    shutil.copytree(
        ROOT / "ml_assets",
        tmp_path / "ml_assets",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


MISTAKES = [
    ("target: target", "tagret: target", "'tagret' was unexpected"),
    ("threshold: 0.8", "threshold: high", "'high' is not of type 'number'"),
    ("type: sklearn, dataset", "type: csv, dataset", "'path' is a required property"),
    ("name: breast_cancer", "name: Breast Cancer", "'Breast Cancer' does not match"),
]


@pytest.mark.slow
def test_a_wrong_key_or_value_is_shown_with_file_line_and_caret(project: Path) -> None:
    path = project / "ml_assets/defs/breast_cancer/defs.yaml"
    text = path.read_text()
    for old, new, _ in MISTAKES:
        assert old in text
        text = text.replace(old, new, 1)
    path.write_text(text)
    # Without a path, `dg check yaml` checks one file of each component type only.
    done = run_dg(project, "check", "yaml", str(path.parent))
    assert done.returncode == 1
    for _, new, message in MISTAKES:
        line = 1 + next(n for n, at in enumerate(text.splitlines()) if new in at)
        assert f"breast_cancer/defs.yaml:{line} " in done.stdout, new
        assert message in done.stdout
    assert "^ 'high' is not of type 'number'" in done.stdout


@pytest.mark.slow
def test_the_shipped_files_and_a_scaffolded_one_are_right(project: Path) -> None:
    made = run_dg(
        project,
        "scaffold",
        "defs",
        "ml_assets.components.TabularClassifier",
        "my_model",
    )
    assert made.returncode == 0, made.stdout + made.stderr
    path = project / "ml_assets/defs/my_model/defs.yaml"
    content = yaml.safe_load(path.read_text())
    assert content["attributes"]["name"] == "my_model"
    assert TabularClassifier.model_validate(content["attributes"]).target == "target"
    made = run_dg(
        project, "scaffold", "defs", "ml_assets.components.TabularRegressor", "rents"
    )
    assert made.returncode == 0, made.stdout + made.stderr
    content = yaml.safe_load((project / "ml_assets/defs/rents/defs.yaml").read_text())
    regressor = TabularRegressor.model_validate(content["attributes"])
    assert regressor.gate.main == "mae"
    for directory in sorted((project / "ml_assets/defs").glob("*/")):
        done = run_dg(project, "check", "yaml", str(directory))
        assert done.returncode == 0, done.stdout
    checked = run_dg(project, "check", "defs")
    assert checked.returncode == 0, checked.stdout + checked.stderr
