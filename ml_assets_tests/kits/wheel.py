"""The wheel of the package, and environments with nothing in them but it."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from sklearn.datasets import load_breast_cancer

from ml_assets_tests.kits.processes import free_ports

ROOT = Path(__file__).parents[2]
UV = Path(sys.executable).with_name("uv")


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


def predicted(server: str, model: str) -> Any:
    """The answer for a row of the data; None while the server has no version."""
    row = load_breast_cancer(as_frame=True).data.iloc[0]
    named = {name.replace(" ", "_"): value for name, value in row.items()}
    try:
        done = requests.post(
            f"{server}/models/{model}/predict", json={"rows": [named]}, timeout=10
        )
    except requests.ConnectionError:
        return None
    return done.json() if done.ok else None


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


class Installed:
    """A virtual environment that has the wheel."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

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
            env={
                **kept,
                "PATH": f"{self.directory}/bin:{os.environ['PATH']}",
                "VIRTUAL_ENV": str(self.directory),
            },
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

    @contextlib.contextmanager
    def serving(self, directory: Path) -> Iterator[str]:
        """A model server that is started in a directory; its address."""
        port, metrics = free_ports(2)
        options = (f"--port={port}", f"--metrics-port={metrics}")
        process = self.start(directory, "ml-assets", "serve", *options)
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            process.send_signal(signal.SIGTERM)
            process.communicate()


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """An environment with the wheel and what it requires, for the tests of a file."""
    directory = tmp_path_factory.mktemp("environment") / "venv"
    uv("venv", "--quiet", "--python", sys.executable, directory)
    uv("pip", "install", f"{wheel}[serve]", environment=directory)
    return Installed(directory)
