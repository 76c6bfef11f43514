"""The wheel in an empty environment, used by projects of somebody else."""

import os
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import requests
from sklearn.datasets import load_breast_cancer

from ml_assets_tests.kits.host import make_host
from ml_assets_tests.kits.processes import await_true, free_ports

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
UV = Path(sys.executable).with_name("uv")
EXTRAS = ("serve", "kubernetes", "docker", "postgres", "s3", "ray")
# An asset of the host's, run by its own job of all assets.
MATERIALIZE = """
import dagster as dg
from {name}.definitions import defs

own = [dg.AssetKey("sales")]
job = defs().get_repository_def().get_implicit_job_def_for_assets(own)
assert job.executor_def.name == "multiprocess", job.executor_def.name
done = job.execute_in_process(asset_selection=own)
assert done.success and done.output_for_node("sales") == "rows"
"""


def uv(*arguments: str | Path, environment: Path | None = None) -> str:
    """What a command of uv prints; a test that cannot reach an index is skipped."""
    given = {"VIRTUAL_ENV": str(environment)} if environment else {}
    done = subprocess.run(
        [UV, *arguments],
        env={**os.environ, "UV_PYTHON_DOWNLOADS": "never", **given},
        capture_output=True,
        text=True,
    )
    if "error sending request" in done.stderr or "Failed to fetch" in done.stderr:
        pytest.skip(f"the package index does not answer: {done.stderr[-300:]}")
    assert done.returncode == 0, done.stderr
    return done.stdout


def predicted(server: str) -> Any:
    """The answer for a row of the data; None while the server has no version."""
    row = load_breast_cancer(as_frame=True).data.iloc[0]
    named = {name.replace(" ", "_"): value for name, value in row.items()}
    try:
        done = requests.post(
            f"{server}/models/churn/predict", json={"rows": [named]}, timeout=10
        )
    except requests.ConnectionError:
        return None
    return done.json() if done.ok else None


class Installed:
    """An environment with nothing in it but the wheel, and what it requires."""

    def __init__(self, directory: Path, wheel: Path) -> None:
        self.directory = directory
        uv("venv", "--quiet", "--python", sys.executable, directory)
        uv("pip", "install", f"{wheel}[serve]", environment=directory)

    def install_host(self, root: Path) -> None:
        """Install a project, whose requirements are those that are there."""
        uv(
            "pip",
            "install",
            "--no-deps",
            "--editable",
            root,
            environment=self.directory,
        )

    def start(
        self, directory: Path, program: str, *arguments: str
    ) -> "subprocess.Popen[str]":
        """Start a program of the environment in a directory."""
        ours = ("ML_ASSETS_", "DAGSTER_", "MLFLOW_", "PYTHON", "COV_", "VIRTUAL_ENV")
        kept = {k: v for k, v in os.environ.items() if not k.startswith(ours)}
        return subprocess.Popen(
            [self.directory / "bin" / program, *arguments],
            cwd=directory,
            env={**kept, "PATH": f"{self.directory}/bin:{os.environ['PATH']}"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, directory: Path, program: str, *arguments: str) -> str:
        """What it prints when it ended well."""
        process = self.start(directory, program, *arguments)
        out, errors = process.communicate()
        assert process.returncode == 0, f"{out}\n{errors}"
        return out


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built of a copy, since building writes beside the sources."""
    top = tmp_path_factory.mktemp("wheel")
    sources = top / "sources"
    shutil.copytree(ROOT / "ml_assets", sources / "ml_assets")
    for name in ("pyproject.toml", "setup.cfg", "README.md"):
        shutil.copyfile(ROOT / name, sources / name)
    uv("build", "--quiet", "--wheel", "--out-dir", top, sources)
    return next(top.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    return Installed(tmp_path_factory.mktemp("environment") / "venv", wheel)


@pytest.fixture
def workspace(installed: Installed, tmp_path: Path) -> Path:
    """Two code locations side by side, of which only the second has a model yet."""
    listed = ""
    for name, models in (("alpha", ()), ("beta", ("reserve",))):
        installed.install_host(make_host(tmp_path / name, name, *models))
        listed += f'[[workspace.projects]]\npath = "{name}"\n'
    (tmp_path / "dg.toml").write_text(f'directory_type = "workspace"\n{listed}')
    return tmp_path


@pytest.fixture
def server(installed: Installed, workspace: Path) -> Iterator[str]:
    """Address of a model server over the state of the workspace."""
    port, metrics = free_ports(2)
    process = installed.start(
        workspace, "ml-assets", "serve", f"--port={port}", f"--metrics-port={metrics}"
    )
    yield f"http://127.0.0.1:{port}"
    process.send_signal(signal.SIGTERM)
    process.communicate()


def test_from_the_wheel_to_a_live_prediction(
    installed: Installed, workspace: Path, server: str
) -> None:
    alpha = workspace / "alpha"
    assert "ml_assets.components.TabularClassifier" in installed.run(
        alpha, "dg", "list", "components", "--json"
    )
    kind = "ml_assets.components.TabularClassifier"
    installed.run(alpha, "dg", "scaffold", "defs", kind, "churn")
    installed.run(alpha, "dg", "check", "yaml")
    installed.run(alpha, "dg", "check", "defs")
    installed.run(alpha, "ml-assets", "train", "churn")
    installed.run(alpha, "ml-assets", "deploy", "churn")
    listed = installed.run(workspace, "ml-assets", "models", "--json")
    found = {item["model"]: item for item in msgspec.json.decode(listed)["models"]}
    assert set(found) == {"churn", "reserve"}
    assert found["churn"]["champion"] and not found["reserve"]["champion"]
    assert "reserve" not in installed.run(alpha, "ml-assets", "models")
    answer = await_true(lambda: predicted(server), "the server answers with a version")
    assert answer["version"] == found["churn"]["champion"]
    assert found["churn"]["runtime"] == "compiled"
    for name in ("alpha", "beta"):
        script = textwrap.dedent(MATERIALIZE.format(name=name))
        installed.run(workspace / name, "python", "-c", script)


def test_what_belongs_to_an_extra_is_named(
    installed: Installed, tmp_path: Path
) -> None:
    script = "from ml_assets.core.extras import require_extra as r; r('postgres', 'it')"
    process = installed.start(tmp_path, "python", "-c", script)
    assert "pip install 'ml-assets[postgres]'" in process.communicate()[1]


@pytest.mark.parametrize("resolution", ["lowest-direct", "highest"])
@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13"])
def test_the_requirements_can_be_met(python: str, resolution: str) -> None:
    extras = [part for extra in EXTRAS for part in ("--extra", extra)]
    found = uv(
        *("pip", "compile", "--quiet", "--python-version", python, *extras),
        *("--resolution", resolution, "--no-header", ROOT / "pyproject.toml"),
    )
    assert "dagster==" in found and "ray==" in found
