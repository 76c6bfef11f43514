"""A project of `ml-assets init`, from the wheel in an empty environment."""

import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
import requests

from ml_assets.cli.init.project import MODEL
from ml_assets_tests.kits.processes import await_true, free_ports
from ml_assets_tests.kits.wheel import (
    Installed,
    installed,
    predicted,
    wheel,
)

__all__ = ["installed", "wheel"]
pytestmark = pytest.mark.slow
ASSETS = "{assetNodes {assetKey {path}}}"


@pytest.fixture(scope="module")
def project(installed: Installed, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project, installed in the environment."""
    top = tmp_path_factory.mktemp("top")
    installed.run(top, "ml-assets", "init", "churn-models")
    installed.install_host(top / "churn-models")
    return top / "churn-models"


def asked(address: str) -> Any:
    """The keys of the assets in the UI; None while it has none."""
    try:
        done = requests.post(f"{address}/graphql", json={"query": ASSETS}, timeout=10)
    except requests.ConnectionError:
        return None
    nodes = done.json()["data"]["assetNodes"] if done.ok else []
    return {"/".join(node["assetKey"]["path"]) for node in nodes} or None


def test_the_project_leads_to_a_live_prediction(
    installed: Installed, project: Path
) -> None:
    installed.run(project, "dg", "check", "defs")
    installed.run(project, "ml-assets", "train", MODEL)
    installed.run(project, "ml-assets", "deploy", MODEL)
    with installed.serving(project) as server:
        answer = await_true(lambda: predicted(server, MODEL), "the server answers")
    assert set(answer["predictions"][0]) >= {"label", "probability"}
    assert (project / ".ml_assets/state.db").is_file()


def test_dg_dev_shows_the_assets_of_the_model(
    installed: Installed, project: Path, tmp_path: Path
) -> None:
    (port,) = free_ports(1)
    process = installed.start(project, "dg", "dev", "--port", str(port))
    try:
        found = await_true(lambda: asked(f"http://127.0.0.1:{port}"), "the UI answers")
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
    assert {f"{MODEL}/raw", f"{MODEL}/model", f"{MODEL}/deployment"} <= found
