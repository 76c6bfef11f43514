"""What holds on any cluster: server-side apply, DNS, probes, OpenShift."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from ml_assets_tests.kits.chart import (
    EVERYTHING,
    VALUES_FILES,
    Object,
    everything,
    label,
    pick,
    pods,
    render,
)

CASES = [(name, {}) for name in VALUES_FILES] + [("values", EVERYTHING)]
# The lists that server-side apply merges, and what tells their items apart.
KEYS = {
    "env": ("name",),
    "containers": ("name",),
    "volumes": ("name",),
    "volumeMounts": ("mountPath",),
    "imagePullSecrets": ("name",),
    "topologySpreadConstraints": ("topologyKey", "whenUnsatisfiable"),
}
OPENSHIFT = "values-openshift"


@pytest.mark.parametrize("values_file, overrides", CASES)
def test_no_list_that_server_side_apply_merges_names_an_item_twice(
    values_file: str, overrides: Object
) -> None:
    for item in render(overrides, values_file):
        for path, keys in _merged(item):
            twice = [key for key, count in Counter(keys).items() if count > 1]
            assert twice == [], (label(item), path)


def test_a_pod_asks_a_service_by_its_whole_name_without_a_dot_at_its_end() -> None:
    (container,) = pick(render(), "Pod", "ml-assets-test")["spec"]["containers"]
    url = "http://ml-assets-breast-cancer.ml.svc.cluster.local:8080"
    assert url in container["args"]
    other = render({"clusterDomain": "k8s.example"})
    (container,) = pick(other, "Pod", "ml-assets-test")["spec"]["containers"]
    assert url.replace("cluster.local", "k8s.example") in container["args"]


def test_mlflow_answers_to_its_whole_name() -> None:
    deployment = pick(render(), "Deployment", "ml-assets-mlflow")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    (hosts,) = [arg for arg in container["args"] if arg.startswith("--allowed-hosts")]
    assert "ml-assets-mlflow.ml.svc.cluster.local:5000" in hosts


def test_no_probe_asks_more_often_than_it_waits_for_the_answer() -> None:
    for pod in pods(everything()):
        for container in pod.containers:
            for name in ("startupProbe", "livenessProbe", "readinessProbe"):
                probe = container.get(name, {})
                # By command each would start a process.
                assert "exec" not in probe, pod.owner
                period = probe.get("periodSeconds", 10)
                assert probe.get("timeoutSeconds", 1) <= period, (pod.owner, name)


def test_on_openshift_user_and_groups_are_left_to_the_namespace() -> None:
    for pod in pods(render({"exporter": {"enabled": True}}, OPENSHIFT)):
        context = pod.spec["securityContext"]
        assert context == {
            "runAsNonRoot": True,
            "seccompProfile": {"type": "RuntimeDefault"},
        }, pod.owner
        for container in pod.containers:
            assert not {"runAsUser", "runAsGroup"} & set(container["securityContext"])


def test_on_openshift_dns_is_its_own() -> None:
    policy = pick(render({}, OPENSHIFT), "NetworkPolicy", "ml-assets-dns")["spec"]
    (rule,) = policy["egress"]
    assert {port["port"] for port in rule["ports"]} == {5353}
    assert "openshift-dns" in str(rule["to"])


def _merged(node: Any, path: str = "") -> Iterator[tuple[str, list[Any]]]:
    if isinstance(node, dict):
        for key, value in node.items():
            below = f"{path}.{key}"
            if key in KEYS and isinstance(value, list):
                yield below, [tuple(it[k] for k in KEYS[key]) for it in value]
            elif key == "ports" and isinstance(value, list):
                numbers = [(it.get("containerPort", it.get("port"))) for it in value]
                kinds = [it.get("protocol", "TCP") for it in value]
                yield below, [*zip(numbers, kinds, strict=True)]
            yield from _merged(value, below)
    elif isinstance(node, list):
        for number, item in enumerate(node):
            yield from _merged(item, f"{path}[{number}]")
