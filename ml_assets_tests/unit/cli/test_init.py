"""`ml-assets init`: what is in the project, and what is refused."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from ml_assets.cli.init.project import MODEL, contents
from ml_assets_tests.kits.cli import invoke

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that was made in a directory which did not exist."""
    root = tmp_path_factory.mktemp("made") / "churn-models"
    result = invoke("init", str(root))
    assert result.exit_code == 0, result.stderr
    assert f"the project churn_models with the model {MODEL}" in result.stdout
    assert f"  cd {root}" in result.stdout
    return root


def run(project: Path, program: str, *arguments: str) -> str:
    """What a program prints that ends well in the project."""
    path = os.pathsep.join([str(project / "src"), str(ROOT)])
    done = subprocess.run(
        [Path(sys.executable).with_name(program), *arguments],
        cwd=project,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_the_project_holds_what_was_promised_and_nothing_else(project: Path) -> None:
    files = {
        path.relative_to(project).as_posix()
        for path in project.rglob("*")
        if path.is_file()
    }
    assert files == set(contents("churn_models"))
    assert {"README.md", "Dockerfile", ".github/workflows/ci.yml"} <= files
    assert f"src/churn_models/defs/{MODEL}/defs.yaml" in files


def test_its_tests_pass(project: Path) -> None:
    assert "1 passed" in run(project, "pytest", "-p", "no:cacheprovider")


def test_dg_accepts_its_yaml(project: Path) -> None:
    assert "validated successfully" in run(project, "dg", "check", "yaml")


@pytest.mark.parametrize(
    "command",
    [
        "black --check .",
        "yamllint --strict .",
        "flake8 --max-line-length 88 src tests",
        "hadolint Dockerfile",
        "zizmor --offline --no-progress --pedantic --strict-collection .github",
    ],
)
def test_its_files_pass_the_programs_that_check_them(
    project: Path, command: str
) -> None:
    run(project, *command.split())


def test_its_actions_are_those_of_our_workflows() -> None:
    made = yaml.safe_load(contents("shop")[".github/workflows/ci.yml"])
    ours = "".join(path.read_text() for path in ROOT.glob(".github/**/*.yml"))
    used = [
        step["uses"]
        for job in made["jobs"].values()
        for step in job["steps"]
        if "uses" in step
    ]
    assert used and all(action in ours for action in used)


def test_commands_act_on_its_model(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    result = invoke("models")
    assert result.exit_code == 0, result.stderr
    assert MODEL in result.stdout and "telco_churn" not in result.stdout


def test_the_working_directory_and_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    # A repository that was made, or cloned, before.
    (tmp_path / ".git").mkdir()
    result = invoke("init", "--name", "shop")
    assert result.exit_code == 0, result.stderr
    assert "  cd " not in result.stdout
    assert (tmp_path / "src/shop/definitions.py").is_file()


def test_a_directory_that_is_not_empty_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    result = invoke("init", str(tmp_path), "--name", "shop")
    assert result.exit_code == 1
    assert f"{tmp_path} is not empty, it has notes.txt" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize(
    "name, sentence",
    [
        ("2models", "'2models' cannot name a package"),
        ("Shop", "expected lower-case letters"),
        ("class", "no word of Python"),
        ("random", "'random' is the name of a package that is there already"),
        ("ml-assets", "name another with --name"),
    ],
)
def test_a_name_that_no_package_can_have(
    tmp_path: Path, name: str, sentence: str
) -> None:
    result = invoke("init", str(tmp_path / name))
    assert result.exit_code == 1
    assert sentence in result.stderr
    assert not (tmp_path / name).exists()


def test_nothing_is_left_of_a_project_that_could_not_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*given: object, **named: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    result = invoke("init", str(tmp_path / "shop"))
    assert result.exit_code == 1 and "No space left" in result.stderr
    assert not list(tmp_path.iterdir())
