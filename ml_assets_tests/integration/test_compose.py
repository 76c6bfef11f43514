"""compose.yaml as it is, with Debian's Postgres and Prometheus standing in."""

import json
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from ml_assets_tests.kits.compose import Platform, compose_command
from ml_assets_tests.kits.docker import docker, missing_engine
from ml_assets_tests.kits.processes import await_true

pytestmark = pytest.mark.slow
MODEL = "breast_cancer"
TRAIN, DEPLOY = f"{MODEL}_train", f"{MODEL}_deploy"
# Grafana and Jaeger have no package to stand in for them.
SERVICES = ["webserver", "daemon", "model-server", "rollout", "exporter", "prometheus"]


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    if reason := missing_engine():
        pytest.skip(f"the platform of compose.yaml needs Docker: {reason}")
    if not compose_command():
        pytest.skip("there is no `docker compose` and no `docker-compose`")
    name = f"mlassetstest{uuid.uuid4().hex[:8]}"
    platform = Platform(name, tmp_path_factory.mktemp("compose"), SERVICES)
    try:
        platform.start()
        yield platform
    finally:
        platform.remove()


def test_a_killed_run_is_retried_and_its_version_is_deployed_once_and_serves(
    platform: Platform,
) -> None:
    first = platform.launch(TRAIN)
    killed = [kill(platform, TRAIN)]
    # The gate's sensor starts this one; it dies with the server that it started.
    await_true(lambda: succeeded(platform, TRAIN), "a retry has trained a version")
    await_true(lambda: containers_of(platform, DEPLOY), "the deployment is running")
    await_true(lambda: server_containers(platform), "the deployment started a server")
    killed.append(kill(platform, DEPLOY))
    await_true(lambda: succeeded(platform, DEPLOY), "a retry has deployed the version")

    runs = platform.runs(TRAIN)
    assert [run["status"] for run in runs] == ["SUCCESS", "FAILURE"]
    assert runs[0]["tags"]["dagster/parent_run_id"] == first == runs[1]["runId"]
    # Every run had a container of its own.
    used = [
        run["tags"]["docker/container_id"]
        for job in (TRAIN, DEPLOY)
        for run in platform.runs(job)
    ]
    assert len({*used}) == len(used) and {*killed} < {*used}
    assert ledger(platform) == ["deployment"]
    assert len(server_containers(platform)) == 1
    answer = predict(platform)
    assert answer["version"] == runs_version(platform)
    assert 0.0 < answer["predictions"][0]["probability"] < 1.0


def test_prometheus_finds_the_servers_and_the_exporter(platform: Platform) -> None:
    def targets() -> list[str]:
        port = platform.port("prometheus", 9090)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/targets") as found:
            active = json.load(found)["data"]["activeTargets"]
        return [
            target["labels"]["job"] for target in active if target["health"] == "up"
        ]

    wanted = {"ml-assets-model-server", "ml-assets-exporter"}
    await_true(lambda: wanted <= {*targets()}, "servers and exporter are scraped")


def test_the_registry_asks_for_a_password(platform: Platform) -> None:
    port = platform.port("mlflow", 5000)
    address = f"http://127.0.0.1:{port}/api/2.0/mlflow/experiments/get?experiment_id=0"
    request = urllib.request.Request(address, headers={"host": "localhost:5000"})
    with pytest.raises(urllib.error.HTTPError) as error:
        urllib.request.urlopen(request)
    assert error.value.code == 401


def test_what_served_serves_again_after_all_containers_were_removed(
    platform: Platform,
) -> None:
    version = predict(platform)["version"]
    platform.compose("down", "--remove-orphans")
    assert platform.containers() == []
    platform.start()
    await_true(lambda: platform.health("model-server") == "healthy", "it serves")
    assert predict(platform)["version"] == version
    assert len(server_containers(platform)) == 1


def kill(platform: Platform, job: str) -> str:
    """SIGKILL the container of the job's run; its id."""
    ids = await_true(lambda: containers_of(platform, job), f"{job} runs")
    docker("kill", ids[0])
    return str(ids[0])


def containers_of(platform: Platform, job: str) -> list[str]:
    """The running containers of a job, with the process in them under way."""
    return [
        id_
        for id_ in platform.containers(f"dagster/job_name={job}")
        if docker("inspect", "--format", "{{.State.Running}}", id_) == "true"
        and any(run["status"] == "STARTED" for run in platform.runs(job))
    ]


def server_containers(platform: Platform) -> list[str]:
    return platform.containers("ml-assets.dev/role=server")


def succeeded(platform: Platform, job: str, count: int = 1) -> bool:
    runs = platform.runs(job)
    return sum(run["status"] == "SUCCESS" for run in runs) >= count


def ledger(platform: Platform) -> list[str]:
    """Kinds of the entries, oldest first."""
    return [entry["kind"] for entry in platform.ledger(MODEL)]


def runs_version(platform: Platform) -> str:
    """The version of the last entry in the ledger."""
    version: str = platform.ledger(MODEL)[-1]["version"]
    return version


def row() -> dict[str, float]:
    from sklearn.datasets import load_breast_cancer

    data = load_breast_cancer()
    names = [name.replace(" ", "_") for name in data.feature_names]
    return dict(zip(names, map(float, data.data[0]), strict=True))


def predict(platform: Platform) -> Any:
    """One prediction through the published port."""
    port = platform.port("model-server", 8080)
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/models/{MODEL}/predict",
        json.dumps({"rows": [row()]}).encode(),
        {"content-type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)
