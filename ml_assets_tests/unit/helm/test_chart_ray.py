"""The Ray cluster of the chart: what Kubernetes accepts, and who reaches it."""

from importlib.metadata import version
from typing import Any

import kubernetes_validate
import pytest
import yaml

from ml_assets_tests.kits.chart import (
    CHART,
    EVERYTHING,
    Object,
    pick,
    pods,
    ray_groups,
    render,
)

# The documented fields of ray.io/v1 that the chart uses.
# https://docs.ray.io/en/latest/cluster/kubernetes/references/api.html
SPEC = {"rayVersion", "headGroupSpec", "workerGroupSpecs"}
HEAD = {"serviceType", "rayStartParams", "template"}
WORKERS = {
    "groupName", "replicas", "minReplicas", "maxReplicas", "rayStartParams", "template",
}  # fmt: skip


@pytest.fixture(scope="module")
def objects() -> list[Object]:
    return render({"ray": {"enabled": True}, "images": EVERYTHING["images"]})


def test_without_its_image_the_chart_says_what_to_name() -> None:
    with pytest.raises(Exception, match="images.ray.repository is empty"):
        render({"ray": {"enabled": True}})


@pytest.fixture(scope="module")
def cluster(objects: list[Object]) -> Object:
    return pick(objects, "RayCluster", "ml-assets-ray")


def test_there_is_no_ray_unless_it_is_asked_for() -> None:
    names = [item["metadata"]["name"] for item in render()]
    assert not [name for name in names if "ray" in name]


def test_the_cluster_has_documented_fields_only(cluster: Object) -> None:
    assert cluster["apiVersion"] == "ray.io/v1"
    head, *workers = ray_groups(cluster)
    assert set(cluster["spec"]) == SPEC and set(head) == HEAD
    assert [set(group) for group in workers] == [WORKERS]
    for group in (head, *workers):
        parameters = group["rayStartParams"]
        assert all(isinstance(value, str) for value in parameters.values())


def test_its_pods_fit_the_schemas_of_kubernetes(cluster: Object) -> None:
    for group in ray_groups(cluster):
        pod = {"apiVersion": "v1", "kind": "Pod", **group["template"]}
        kubernetes_validate.validate(pod, "1.34", strict=True)


def test_its_version_is_that_of_the_package(cluster: Object) -> None:
    assert cluster["spec"]["rayVersion"] == version("ray")


def test_only_the_workers_fit_candidates(cluster: Object) -> None:
    head, workers = ray_groups(cluster)
    assert head["rayStartParams"]["num-cpus"] == "0"
    assert "num-cpus" not in workers["rayStartParams"]
    assert workers["replicas"] == 2


def test_a_probe_looks_where_its_node_listens(cluster: Object) -> None:
    head, workers = (group["template"]["spec"] for group in ray_groups(cluster))
    assert _probed(head) == {10001}
    assert _probed(workers) == {6380}
    port = ray_groups(cluster)[1]["rayStartParams"]["node-manager-port"]
    assert port == "6380"


def test_nobody_talks_to_ray_without_its_token(objects: list[Object]) -> None:
    for pod in (pod for pod in pods(objects) if pod.owner.startswith("RayCluster/")):
        (container,) = pod.containers
        environment = {item["name"]: item for item in container["env"]}
        assert environment["RAY_AUTH_MODE"]["value"] == "token"
        reference = environment["RAY_AUTH_TOKEN"]["valueFrom"]["secretKeyRef"]
        assert reference == {"name": "ray-auth", "key": "auth_token"}


def test_run_pods_reach_the_client_server_and_nothing_else(
    objects: list[Object],
) -> None:
    policy = pick(objects, "NetworkPolicy", "ml-assets-ray")["spec"]
    own = {"podSelector": policy["podSelector"]}
    client = {"podSelector": {"matchLabels": {"ml-assets.dev/client": "true"}}}
    assert policy["ingress"] == [
        {"from": [own]},
        {"from": [client], "ports": [{"port": 10001, "protocol": "TCP"}]},
    ]
    assert policy["egress"] == [{"to": [own]}]


@pytest.mark.parametrize(
    "values, output",
    [
        ({"workers": {"replicas": 0}}, "/ray/workers/replicas"),
        ({"worker": {}}, "worker"),
        ({"version": "latest"}, "/ray/version"),
    ],
)
def test_a_wrong_value_is_refused_with_its_path(values: Object, output: str) -> None:
    with pytest.raises(Exception, match=output):
        render({"ray": {"enabled": True} | values})


def test_the_values_say_how_runs_find_it() -> None:
    text = (CHART / "values.yaml").read_text()
    assert "RAY_ADDRESS=ray://<release>-ray-head-svc:10001" in text
    assert yaml.safe_load(text)["ray"]["enabled"] is False


def _probed(spec: Any) -> set[int]:
    (container,) = spec["containers"]
    kinds = ("startupProbe", "livenessProbe", "readinessProbe")
    return {container[kind]["tcpSocket"]["port"] for kind in kinds}
