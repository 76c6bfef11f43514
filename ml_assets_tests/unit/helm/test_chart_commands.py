"""Every command, probe, hook and image of both charts works with the real program.

The kind: an option, path, port or tool that a chart names and the image does not have.
"""

import copy
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from dagster._core.code_pointer import ModuleCodePointer
from dagster._core.origin import JobPythonOrigin, RepositoryPythonOrigin
from dagster._grpc.types import ExecuteRunArgs

from ml_assets_tests.kits import dagster_chart
from ml_assets_tests.kits.chart import (
    EVERYTHING,
    VALUES_FILES,
    Object,
    everything,
    label,
    pods,
    render,
)
from ml_assets_tests.kits.pod_commands import problems

BASE = "ghcr.io/ml-assets/ml-assets:v0.1.0-base"
SERVERS, CODE = "Deployment/ml-assets-breast-cancer", "user-deployments-ml-assets"
FIXED = {"modelServer": {"autoscaling": {"enabled": False}, "replicas": 3}}
READ_ONLY = {"enableReadOnly": True, "dbPoolRecycle": 60, "logLevel": "info"}


@pytest.mark.parametrize("values_file", VALUES_FILES)
@pytest.mark.parametrize(
    "overrides",
    [{}, EVERYTHING, FIXED, {"mlflow": {"enabled": False}}],
    ids=["as they are", "everything on", "no autoscaler", "no MLflow"],
)
def test_what_the_pods_of_our_chart_start_and_ask_is_there(
    values_file: str, overrides: Object
) -> None:
    assert problems(render(overrides, values_file)) == []


@pytest.mark.parametrize("values_file", VALUES_FILES)
@pytest.mark.parametrize(
    "overrides",
    [{}, {"dagsterWebserver": READ_ONLY}, {"migrate": {"enabled": True}}],
    ids=["as they are", "read-only webserver", "migration"],
)
def test_what_the_pods_of_the_dagster_chart_start_and_ask_is_there(
    values_file: str, overrides: Object
) -> None:
    objects = dagster_chart.described(dagster_chart.values(values_file, **overrides))
    assert len([*pods(objects)]) >= 3
    assert problems(objects) == []


def test_what_a_run_pod_starts_is_there() -> None:
    pointer = ModuleCodePointer("ml_assets.definitions", "defs")
    origin = JobPythonOrigin("churn_train", RepositoryPythonOrigin("python", pointer))
    # As the launcher asks for it: by the entry point of the image.
    command = [*ExecuteRunArgs(origin, "1", None).get_command_args()][-3:]
    container = {"name": "run", "image": BASE, "args": ["dagster", *command]}
    metadata = {"name": "run"}
    pod = {"kind": "Pod", "metadata": metadata, "spec": {"containers": [container]}}
    assert problems([pod]) == []


def args(*change: tuple[str, str]) -> Callable[[Object], None]:
    """Puts other words in the place of words of a command."""

    def breaks(container: Object) -> None:
        for key in ("command", "args"):
            if key in container:
                words = container[key]
                for old, new in change:
                    words = [word.replace(old, new) for word in words]
                container[key] = words

    return breaks


def probe(kind: str, **given: Any) -> Callable[[Object], None]:
    return lambda container: container.update(livenessProbe={kind: given})


def execs(*command: str) -> Callable[[Object], None]:
    return probe("exec", command=[*command])


def sets(**given: Any) -> Callable[[Object], None]:
    return lambda container: container.update(given)


CHECK = ("python", "-I", "/opt/healthcheck.py")
HOOK = {"preStop": {"exec": {"command": ["sleep", "a while"]}}}
BROKEN = [
    # What the code location and its neighbours were started with once.
    (CODE, args(("--module-name", "--python-module")), "No such option"),
    (
        "dagster-daemon",
        sets(image="docker.io/library/busybox:1.28"),
        "nobody publishes the image docker.io/library/busybox:1.28",
    ),
    # Dagster.
    (CODE, args(("definitions", "definition")), "there is no module"),
    (CODE, args(("api", "apis")), "No such command"),
    (CODE, args(("0.0.0.0", "127.0.0.1")), "listens on 127.0.0.1 only"),
    (CODE, execs(*CHECK, "grpc", "127.0.0.1:4001"), "nothing listens on the port 4001"),
    (CODE, execs(*CHECK, "http", "http://127.0.0.1:4000/"), "where grpc is spoken"),
    (CODE, execs(*CHECK, "gprc", "127.0.0.1:4000"), "does not know that"),
    (CODE, execs(*CHECK, "grpc"), "missing a required argument"),
    (CODE, execs("python", "/opt/health.py", "grpc", "127.0.0.1:4000"), "not in the"),
    (CODE, execs("grpc_health_probe", "-addr=:4000"), "no rule knows the program"),
    (CODE, execs("dagster", "api", "grpc-health-check", "--prot", "1"), "No such opt"),
    ("webserver", args(("-p 3000", "-p 3001")), "nothing listens on its port http"),
    ("webserver", args(("-w /dagster-", "-w /")), "does not exist"),
    ("webserver", args(("-w ", "--workspaces ")), "No such option"),
    ("webserver", probe("httpGet", path="/healthz", port=3000), "nothing is served"),
    ("webserver", probe("httpGet", path="/server_info", port="web"), "the port web"),
    ("dagster-daemon", args(("run", "start")), "No such command"),
    # The scripts of init containers.
    ("init", args(("nslookup", "wget")), "no rule knows the program 'wget'"),
    ("init", args(("; do", " do")), "yntax error"),
    ("init", args(("nslookup ", "nslookup -type=a ")), "expected one name"),
    ("init", args(("sleep 2", "sleep $N")), "no rule knows such a script"),
    ("init", sets(image=BASE.replace("base", "production")), "has no program"),
    # Our own.
    (SERVERS, args(("--metrics-port", "--metric-port")), "No such option"),
    (SERVERS, args(("serve", "server")), "No such command"),
    (SERVERS, args(("8080", "8081")), "nothing listens on its port http, 8080"),
    (SERVERS, args(("8080", "http")), "not a valid integer"),
    (SERVERS, probe("httpGet", path="/healthz", port="http"), "served at /healthz"),
    (SERVERS, probe("httpGet", path="/v2/health/live", port="htpp"), "the port htpp"),
    (SERVERS, probe("grpc", port=8080), "asks for grpc where http is spoken"),
    (SERVERS, sets(lifecycle=HOOK), "preStop: sleep 'a while': expected seconds"),
    (SERVERS, sets(image="ghcr.io/ml-assets/ml-assets-server:0.1.0"), "nobody publ"),
    (SERVERS, sets(image=BASE.replace("v0", "0")), "nobody publishes"),
    (SERVERS, sets(args=None), "neither a command nor arguments"),
    (SERVERS, sets(command=["mlflow", "server"]), "has no program 'mlflow'"),
    ("exporter", args(("--host", "--address")), "No such option"),
    ("exporter", probe("httpGet", path="/healthz", port="metrics"), "at /healthz"),
    ("mlflow", args(("basic-auth", "basic")), "basic"),
    ("mlflow", args(("--allowed-hosts", "--allow-hosts")), "No such option"),
    ("mlflow", probe("httpGet", path="/healthz", port="http"), "served at /healthz"),
    ("Pod/ml-assets-test", args(("serving.py", "ask.py")), "is not in the container"),
    (
        "Pod/ml-assets-test",
        lambda container: container["args"].append("more"),
        "too many positional",
    ),
    ("RayCluster", probe("tcpSocket", port=10002), "the port 10002"),
]


@pytest.mark.parametrize("owner, breaks, output", BROKEN)
def test_the_check_refuses_what_would_not_work(
    owner: str, breaks: Callable[[Object], object], output: str
) -> None:
    objects = _of_both("webserver" if owner == "init" else owner)
    assert problems(objects) == []
    container, *_ = _containers(objects, owner)
    breaks(container)
    assert output in "\n".join(problems(objects))


def test_the_check_refuses_a_parameter_of_ray_that_it_does_not_have() -> None:
    objects = everything()
    (cluster,) = [item for item in objects if item["kind"] == "RayCluster"]
    parameters = cluster["spec"]["workerGroupSpecs"][0]["rayStartParams"]
    parameters["node-managers-port"] = parameters.pop("node-manager-port")
    assert any("No such option" in text for text in problems(objects))


@pytest.mark.skipif(
    not dagster_chart.is_there(),
    reason="DAGSTER_CHART does not name the official chart",
)
@pytest.mark.parametrize("values_file", VALUES_FILES)
def test_what_the_official_chart_itself_renders_is_there(values_file: str) -> None:
    objects = dagster_chart.official(dagster_chart.values(values_file))
    assert len([*pods(objects)]) >= 3
    assert problems(objects) == []


def _of_both(owner: str) -> list[Object]:
    """What is mounted, and the pods of one owner."""
    given = dagster_chart.values(migrate={"enabled": True})
    objects = copy.deepcopy([*everything(), *dagster_chart.described(given)])
    kinds = {"Deployment", "Pod", "Job", "RayCluster"}
    return [
        item for item in objects if item["kind"] not in kinds or owner in label(item)
    ]


def _containers(objects: list[Object], owner: str) -> Iterator[Object]:
    for pod in pods(objects):
        if owner == "init":
            yield from pod.spec.get("initContainers", [])
        elif owner in pod.owner:
            yield from pod.spec["containers"]
