"""Checkov over the rendered chart and the Dockerfile: only what is accepted here."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from ml_assets_tests.kits.chart import (
    EVERYTHING,
    ROOT,
    VALUES_FILES,
    Object,
    merge,
    pick,
    render,
)

pytestmark = pytest.mark.slow
VERSION = "3.3.30"
# Each finding that stays, and why.
ACCEPTED = {
    "CKV_K8S_43": "digests are set by the delivery, not by the defaults of the chart",
    "CKV_K8S_15": "tags name versions and are not moved, so that a node may keep them",
    "CKV_K8S_35": "MLflow reads its password and database from the environment only",
    "CKV_DOCKER_7": "the base image is an argument, which names a version",
}
# A pod that runs to its end is not probed.
ENDS = {"CKV_K8S_8", "CKV_K8S_9"}


@pytest.fixture(scope="module")
def checkov() -> list[str]:
    """The command; it has more dependencies than the project, so it stands apart."""
    uvx = Path(sys.executable).with_name("uvx")
    tool = [str(uvx), "--offline", "--from", f"checkov=={VERSION}", "checkov"]
    for command in [[os.environ.get("CHECKOV", "checkov")], tool]:
        if shutil.which(command[0]):
            ask = [*command, "--version"]
            done = subprocess.run(ask, capture_output=True, text=True, check=False)
            if done.returncode == 0:
                return command
    pytest.skip(f"Checkov is not here: uv tool install checkov=={VERSION}")


def findings(checkov: list[str], framework: str, file: Path) -> set[tuple[str, str]]:
    """Each failed check and what it is about."""
    arguments = ["--framework", framework, "--output", "json", "--skip-download"]
    command = [*checkov, "--file", str(file), "--quiet", "--compact", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    report = json.loads(done.stdout)
    # Where nothing was looked at, the summary is all there is, and the exit code is 0.
    summary = report.get("summary", report)
    assert summary["passed"] > 0, "nothing was checked"
    assert summary["parsing_errors"] == 0
    failed = report["results"]["failed_checks"]
    return {(item["check_id"], item["resource"]) for item in failed}


def write(objects: list[Object], file: Path) -> Path:
    """The manifests as they reach the cluster, in their namespace."""
    for item in objects:
        item["metadata"].setdefault("namespace", "ml")
    file.write_text(yaml.safe_dump_all(objects))
    return file


@pytest.mark.parametrize("values_file", VALUES_FILES)
def test_checkov_finds_nothing_in_the_chart_that_is_not_accepted(
    checkov: list[str], values_file: str, tmp_path: Path
) -> None:
    switches = {key: EVERYTHING[key] for key in ("exporter", "deployer")}
    file = write(render(merge({}, switches), values_file), tmp_path / "chart.yaml")
    found = findings(checkov, "kubernetes", file)
    rest = {(check, where) for check, where in found if check not in ACCEPTED}
    rest -= {(check, "Pod.ml.ml-assets-test") for check in ENDS}
    assert rest == set()


def test_checkov_finds_nothing_in_the_dockerfile_that_is_not_accepted(
    checkov: list[str],
) -> None:
    found = findings(checkov, "dockerfile", ROOT / "Dockerfile")
    assert {check for check, _ in found} <= set(ACCEPTED)


def test_checkov_sees_a_chart_that_is_broken(
    checkov: list[str], tmp_path: Path
) -> None:
    deployment = pick(render(), "Deployment", "ml-assets-breast-cancer")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    container["securityContext"]["privileged"] = True
    container["image"] = "registry/server:latest"
    found = findings(checkov, "kubernetes", write([deployment], tmp_path / "one.yaml"))
    assert {"CKV_K8S_16", "CKV_K8S_14"} <= {check for check, _ in found}


@pytest.mark.skipif(shutil.which("helm") is not None, reason="Helm is here")
def test_a_run_that_looked_at_nothing_is_not_a_pass(checkov: list[str]) -> None:
    with pytest.raises(AssertionError, match="nothing was checked"):
        findings(checkov, "helm", ROOT / "helm" / "ml-assets" / "Chart.yaml")
