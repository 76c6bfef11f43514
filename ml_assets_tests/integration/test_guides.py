"""The guides, done block by block by a newcomer with an empty directory."""

import contextlib
import os
import re
import shutil
import subprocess
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from ml_assets_tests.conftest import OURS
from ml_assets_tests.kits import postgres_instance
from ml_assets_tests.kits.docs import EXECUTED, ROOT
from ml_assets_tests.kits.guides import Reader, steps
from ml_assets_tests.kits.processes import free_ports

pytestmark = pytest.mark.slow

DOCS = ROOT / "docs"
ADDRESS = "https://github.com/ml-assets/ml-assets.git"
# Of the tests and their runner, which a newcomer does not have.
FOREIGN = (*OURS, "COV", "PYTEST", "PYTHON", "VIRTUAL_ENV", "OMP_", "MPLBACKEND")
INSTALL = "Install"
# What pip and uv print where there is no network.
OFFLINE = re.compile(
    "Temporary failure in name resolution|Failed to establish a new connection"
    "|error sending request|dns error|requirement uv=="
)


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
        # Most modules are imported by nobody here, so none is compiled beforehand.
        "UV_COMPILE_BYTECODE": "0",
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.{origin}.insteadOf",
        "GIT_CONFIG_VALUE_0": ADDRESS,
    }


@pytest.fixture(scope="module")
def clone(
    tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str]
) -> Path:
    """The directory in which the project is cloned and installed, as in the guide."""
    directory = tmp_path_factory.mktemp("newcomer")
    todo = [
        step for step in steps(DOCS / "getting-started.md") if step.section == INSTALL
    ]
    try:
        with Reader(directory, environment, {}).leaving_nothing() as reader:
            reader.follow(todo)
    except AssertionError as error:
        if away := OFFLINE.search(str(error)):
            pytest.skip(f"no package index can be reached: {away[0]}")
        raise
    return directory


@pytest.fixture
def reader(clone: Path, environment: dict[str, str]) -> Iterator[Reader]:
    """Somebody in the cloned project, with its environment, and nothing done yet."""
    project = clone / "ml-assets"
    for command in (["checkout", "-q", "."], ["clean", "-fdqx", "-e", ".venv"]):
        subprocess.run(["git", *command], cwd=project, check=True)
    ports = dict(zip((3000, 8080, 8000), free_ports(3), strict=True))
    names = ("ML_ASSETS_UI_PORT", "ML_ASSETS_PORT", "ML_ASSETS_METRICS_PORT")
    chosen = dict(zip(names, map(str, ports.values()), strict=True))
    with Reader(clone, environment | chosen, ports).leaving_nothing() as reader:
        reader.enter("cd ml-assets && source .venv/bin/activate")
        yield reader


OF_THEIR_OWN = {"operate"}


@pytest.mark.parametrize(
    "guide", [name for name in EXECUTED if name not in OF_THEIR_OWN]
)
def test_a_guide_goes_as_it_says(reader: Reader, guide: str) -> None:
    # What installs was done once, for all of them.
    todo = [step for step in steps(DOCS / f"{guide}.md") if step.section != INSTALL]
    assert todo
    reader.follow(todo)


def test_what_was_backed_up_comes_back(reader: Reader) -> None:
    todo = steps(DOCS / "operate.md")
    restore = [step for step in todo if step.section == "Restore"]
    begin = todo.index(restore[0])
    with contextlib.ExitStack() as stack:
        urls: list[str] = []
        if postgres_instance.is_installed():
            urls = [stack.enter_context(postgres_instance.running()) for _ in range(2)]
            reader.enter(f"export DAGSTER_DATABASE_URL={urls[0]}")
            reader.enter(f"export MLFLOW_DATABASE_URL={urls[1]}")
        else:
            warnings.warn("without Postgres no database is restored", stacklevel=1)
            todo = [step for step in todo if not step.needs]
        for url in urls:
            reader.enter(f"psql --quiet {url} -c 'CREATE TABLE kept AS SELECT 7 AS n'")
        reader.follow(todo[:begin])
        for url in urls:
            reader.enter(f"psql --quiet {url} -c 'UPDATE kept SET n = 8'")
        reader.follow(todo[begin:])
        for url in urls:
            reader.enter(
                f"test $(psql --tuples-only {url} -c 'SELECT n FROM kept') = 7"
            )
