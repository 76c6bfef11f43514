"""The values that `ml-assets init` makes, rendered with both charts."""

import pytest
import yaml
from dagster._cli import cli as dagster_cli

from ml_assets.cli.init.project import MODEL, contents
from ml_assets_tests.kits import dagster_chart
from ml_assets_tests.kits.chart import ROOT, Object, Pod, pods, render

FILES = contents("churn_models")
IMAGE = "registry.example.com/churn-models:0.1.0"


def read(name: str) -> Object:
    """The values of a file of the project."""
    found: Object = yaml.safe_load(FILES[f"helm/{name}"])
    return found


@pytest.fixture(scope="module")
def models() -> list[Object]:
    return render(read("ml-assets-values.yaml"))


@pytest.fixture(scope="module")
def dagster() -> list[Pod]:
    given = read("dagster-values.yaml")
    objects = dagster_chart.described(given)
    if dagster_chart.is_there():
        objects += dagster_chart.official(given)
    return list(pods(objects))


def test_its_model_is_the_only_one_that_the_chart_serves(models: list[Object]) -> None:
    served = {
        item["metadata"]["labels"].get("ml-assets.dev/model")
        for item in models
        if item["kind"] == "Deployment"
    }
    assert served - {None} == {MODEL}


def test_every_pod_runs_its_image(models: list[Object], dagster: list[Pod]) -> None:
    found = [*pods(models), *dagster]
    images = {part["image"] for pod in found for part in pod.containers}
    assert found and images == {IMAGE}


def test_the_version_of_the_official_chart_is_that_of_our_values() -> None:
    version = ours_version()
    assert f"version {version}" in FILES["helm/dagster-values.yaml"]
    assert f"--version {version}" in FILES["README.md"]


def test_the_probes_ask_with_a_program_that_dagster_has() -> None:
    deployments = read("dagster-values.yaml")["dagster-user-deployments"]["deployments"]
    (location,) = deployments
    checks = dagster_cli.commands["api"].commands  # type: ignore[attr-defined]
    for name in ("startupProbe", "livenessProbe"):
        program, _, check, *options = location[name]["exec"]["command"]
        context = checks[check].make_context(check, options)
        assert program == "dagster" and context.params["port"] == location["port"]


def test_init_containers_find_the_program_that_they_look_names_up_with() -> None:
    assert "COPY docker/nslookup /usr/local/bin/nslookup" in FILES["Dockerfile"]
    assert FILES["docker/nslookup"].splitlines()[-1] == 'exec getent hosts "$1"'


def ours_version() -> str:
    """The version of the official chart that the platform's values are for."""
    first = (ROOT / "helm/dagster/values.yaml").read_text().splitlines()[0]
    return first.rstrip(":").rpartition(" ")[2]
