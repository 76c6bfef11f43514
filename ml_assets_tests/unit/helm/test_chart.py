"""What every object of the chart must be, whatever the values say."""

import copy
import re
from collections.abc import Callable

import helm_python
import kubernetes_validate
import pytest

from ml_assets_tests.kits.chart import (
    CHART,
    EVERYTHING,
    VALUES_FILES,
    Object,
    Pod,
    everything,
    label,
    merge,
    pick,
    pods,
    render,
)
from ml_assets_tests.kits.pod_security import violations

KUBERNETES = "1.34"
# Custom resources, whose schemas are not Kubernetes' own.
CUSTOM = {"ServiceMonitor", "PrometheusRule", "AlertmanagerConfig", "RayCluster"}
CASES = [(name, {}) for name in VALUES_FILES] + [("values", EVERYTHING)]


@pytest.fixture(scope="module", params=CASES, ids=[*VALUES_FILES, "everything on"])
def objects(request: pytest.FixtureRequest) -> list[Object]:
    values_file, overrides = request.param
    return render(overrides, values_file)


def test_every_object_fits_the_schemas_of_kubernetes(objects: list[Object]) -> None:
    for item in objects:
        if item["kind"] not in CUSTOM:
            kubernetes_validate.validate(item, KUBERNETES, strict=True)


def test_the_schemas_refuse_a_key_that_kubernetes_does_not_know() -> None:
    item = pick(render(), "Deployment", "ml-assets-breast-cancer")
    item["spec"]["replica"] = 1
    with pytest.raises(kubernetes_validate.ValidationError, match="replica"):
        kubernetes_validate.validate(item, KUBERNETES, strict=True)


def test_the_linter_of_helm_finds_no_error() -> None:
    report = helm_python.lint(str(CHART), merge({}, EVERYTHING))
    assert report["errors"] == []
    assert [item["error"] for item in report["messages"]] == ["icon is recommended"]


def test_no_two_objects_share_a_name(objects: list[Object]) -> None:
    names = [label(item) for item in objects]
    assert sorted(set(names)) == sorted(names)


def test_every_pod_passes_pod_security_restricted(objects: list[Object]) -> None:
    assert {
        pod.owner: found for pod in pods(objects) if (found := violations(pod))
    } == {}


@pytest.mark.parametrize(
    "breaks, reason",
    [
        (lambda pod, one: pod.update(hostNetwork=True), "hostNetwork is set"),
        (
            lambda pod, one: pod["volumes"].append({"name": "x", "hostPath": {}}),
            "volume x is a hostPath",
        ),
        (lambda pod, one: pod["securityContext"].update(runAsUser=0), "runs as root"),
        (lambda pod, one: pod["securityContext"].pop("runAsNonRoot"), "runs as root"),
        (lambda pod, one: pod["securityContext"].pop("seccompProfile"), "seccomp"),
        (lambda pod, one: one.pop("securityContext"), "may gain privileges"),
        (
            lambda pod, one: one["securityContext"]["capabilities"].update(add=["X"]),
            "keeps capabilities",
        ),
        (
            lambda pod, one: one["securityContext"].update(
                readOnlyRootFilesystem=False
            ),
            "can write its root",
        ),
        (lambda pod, one: one["ports"].append({"hostPort": 80}), "a host port"),
    ],
)
def test_the_check_of_pod_security_sees_each_breach(
    breaks: Callable[[Object, Object], object], reason: str
) -> None:
    pod = copy.deepcopy(next(pods(render())))
    assert violations(pod) == []
    breaks(pod.spec, pod.spec["containers"][0])
    assert reason in " ".join(violations(pod))


def test_every_pod_mounts_a_token_only_if_it_asks_the_api(
    objects: list[Object],
) -> None:
    for pod in pods(objects):
        assert pod.spec["automountServiceAccountToken"] is False, pod.owner
        assert pod.spec["serviceAccountName"] == "ml-assets", pod.owner


def test_every_container_has_requests_and_limits(objects: list[Object]) -> None:
    for pod in pods(objects):
        for container in pod.containers:
            for kind in ("requests", "limits"):
                assert {"cpu", "memory"} <= set(container["resources"][kind]), pod.owner


def test_every_image_is_pinned(objects: list[Object]) -> None:
    pinned = re.compile(r".+(:(?!latest)[\w.-]+|@sha256:[0-9a-f]{64})$")
    for pod in pods(objects):
        for container in pod.containers:
            assert pinned.match(container["image"]), container["image"]


def test_a_digest_wins_over_a_tag() -> None:
    image = {
        "repository": "registry:5000/a",
        "tag": "1",
        "digest": f"sha256:{'0' * 64}",
    }
    objects = render({"images": {"server": image}})
    servers = [pod for pod in pods(objects) if "breast-cancer" in pod.owner]
    (container,) = servers[0].containers
    assert container["image"] == f"registry:5000/a@sha256:{'0' * 64}"


def test_every_long_running_container_is_probed(objects: list[Object]) -> None:
    for pod in pods(objects):
        if pod.owner.startswith("Deployment/"):
            for container in pod.containers:
                probes = {"startupProbe", "livenessProbe", "readinessProbe"}
                assert probes <= set(container), pod.owner


def test_secrets_are_named_and_never_written(objects: list[Object]) -> None:
    assert not [label(item) for item in objects if item["kind"] == "Secret"]
    sensitive = re.compile("PASSWORD|SECRET|TOKEN|USERNAME")
    for pod in pods(objects):
        for item in _environment(pod):
            if sensitive.search(item["name"]):
                assert "secretKeyRef" in item["valueFrom"], (pod.owner, item["name"])


def test_everything_that_a_container_writes_to_is_a_volume() -> None:
    for pod in pods(everything()):
        if pod.owner.startswith("Deployment/"):
            for container in pod.containers:
                mounts = {mount["mountPath"] for mount in container["volumeMounts"]}
                assert "/tmp" in mounts, pod.owner  # nosec B108 - a path in a pod
        sized = [item for item in pod.spec["volumes"] if "emptyDir" in item]
        assert all("sizeLimit" in item["emptyDir"] for item in sized), pod.owner


def _environment(pod: Pod) -> list[Object]:
    return [item for container in pod.containers for item in container.get("env", [])]
