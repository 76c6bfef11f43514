"""The guides, done block by block by a newcomer with an empty directory."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ml_assets_tests.conftest import OURS
from ml_assets_tests.docs_kit import ROOT
from ml_assets_tests.integration.guide_kit import Reader, steps
from ml_assets_tests.processes import free_ports

pytestmark = pytest.mark.slow

DOCS = ROOT / "docs"
ADDRESS = "https://github.com/ml-assets/ml-assets.git"
# Of the tests and their runner, which a newcomer does not have.
FOREIGN = (*OURS, "COV", "PYTEST", "PYTHON", "VIRTUAL_ENV", "OMP_", "MPLBACKEND")
INSTALL = "Install"


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A newcomer's variables, by which git finds this working tree at the address."""
    origin = tmp_path_factory.mktemp("origin")
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@example.com"]
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    if listed.returncode:
        pytest.skip(f"{ROOT} is not a clone of the project")
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / name).is_file():
            (origin / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, origin / name)
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "The project"]):
        subprocess.run([*git, *command], cwd=origin, check=True)
    path = [
        name
        for name in os.environ["PATH"].split(":")
        if Path(name).parent.name != ".venv"
    ]
    kept = {
        key: value for key, value in os.environ.items() if not key.startswith(FOREIGN)
    }
    return kept | {
        "PATH": ":".join(path),
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.{origin}.insteadOf",
        "GIT_CONFIG_VALUE_0": ADDRESS,
    }


@pytest.fixture(scope="module")
def place(
    tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str]
) -> Path:
    """The directory in which the project is cloned and installed, as the guide says."""
    directory = tmp_path_factory.mktemp("newcomer")
    todo = [
        step for step in steps(DOCS / "getting-started.md") if step.section == INSTALL
    ]
    with Reader(directory, environment, {}).leaving_nothing() as reader:
        reader.follow(todo)
    return directory


@pytest.fixture
def reader(place: Path, environment: dict[str, str]) -> Iterator[Reader]:
    """Somebody in the cloned project, with its environment, and nothing done yet."""
    project = place / "ml-assets"
    for command in (["checkout", "-q", "."], ["clean", "-fdqx", "-e", ".venv"]):
        subprocess.run(["git", *command], cwd=project, check=True)
    ports = dict(zip((3000, 8080, 8000), free_ports(3), strict=True))
    names = ("ML_ASSETS_UI_PORT", "ML_ASSETS_PORT", "ML_ASSETS_METRICS_PORT")
    chosen = dict(zip(names, map(str, ports.values()), strict=True))
    with Reader(place, environment | chosen, ports).leaving_nothing() as reader:
        reader.enter("cd ml-assets && source .venv/bin/activate")
        yield reader


def test_getting_started(reader: Reader) -> None:
    reader.follow(
        [step for step in steps(DOCS / "getting-started.md") if step.section != INSTALL]
    )


def test_add_a_model(reader: Reader) -> None:
    reader.follow(steps(DOCS / "add-a-model.md"))


def test_extend(reader: Reader) -> None:
    reader.follow(steps(DOCS / "extend.md"))
