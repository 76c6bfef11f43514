"""What the values add to pods and Services, and that it clashes with nothing."""

from typing import Any

import helm_python
import kubernetes_validate
import pytest
import yaml

from ml_assets_tests.kits.chart import (
    EVERYTHING,
    Object,
    Pod,
    merge,
    pick,
    pods,
    render,
)
from ml_assets_tests.kits.pod_security import violations

SERVERS = "ml-assets-breast-cancer"
AFFINITY = {
    "nodeAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": {
            "nodeSelectorTerms": [
                {"matchExpressions": [{"key": "disk", "operator": "Exists"}]}
            ]
        }
    }
}
SECRET = {"secretKeyRef": {"name": "proxy", "key": "url"}}
OWN: Object = {
    "env": {"HTTPS_PROXY": SECRET, "TZ": "Europe/Vienna"},
    "podLabels": {"example.com/cost": "risk"},
    "podAnnotations": {"co.elastic.logs/enabled": "false"},
    "nodeSelector": {"pool": "models"},
    "tolerations": [{"key": "models", "operator": "Exists"}],
    "affinity": AFFINITY,
    "priorityClassName": "business",
    "extraVolumes": [{"name": "ca", "configMap": {"name": "company-ca"}}],
    "extraVolumeMounts": [{"name": "ca", "mountPath": "/etc/ssl/company"}],
}
PARTS = ("modelServer", "mlflow", "exporter", "ray")
TUNED = merge(EVERYTHING, {part: OWN for part in PARTS})
TUNED = merge(TUNED, {"imagePullSecrets": [{"name": "registry"}]})
PLACED = ("nodeSelector", "tolerations", "affinity", "priorityClassName")


def tuned() -> list[Pod]:
    return [*pods(render(TUNED))]


def servers(**values: Any) -> Object:
    """The Deployment of one model with these values of `modelServer`."""
    return pick(render({"modelServer": values}), "Deployment", SERVERS)["spec"]


def test_every_pod_goes_where_the_values_send_it() -> None:
    for pod in tuned():
        assert {key: pod.spec[key] for key in PLACED} == {
            key: OWN[key] for key in PLACED
        }, pod.owner


def test_every_pod_that_stays_has_the_labels_variables_and_volumes_of_the_values() -> (
    None
):
    staying = [pod for pod in tuned() if not pod.owner.startswith("Pod/")]
    assert len(staying) == 7
    for pod in staying:
        assert pod.metadata["labels"]["example.com/cost"] == "risk", pod.owner
        assert pod.metadata["annotations"]["co.elastic.logs/enabled"] == "false"
        (container,) = pod.containers
        assert {"name": "TZ", "value": "Europe/Vienna"} in container["env"]
        assert {"name": "HTTPS_PROXY", "valueFrom": SECRET} in container["env"]
        assert OWN["extraVolumes"][0] in pod.spec["volumes"]
        assert OWN["extraVolumeMounts"][0] in container["volumeMounts"]


def test_every_pod_pulls_with_the_secrets_of_the_values() -> None:
    for pod in tuned():
        assert pod.spec["imagePullSecrets"] == [{"name": "registry"}], pod.owner


def test_what_is_tuned_still_fits_kubernetes_and_pod_security() -> None:
    for item in render(TUNED):
        if item["kind"] in ("Deployment", "Pod"):
            kubernetes_validate.validate(item, "1.34", strict=True)
    assert {pod.owner: found for pod in tuned() if (found := violations(pod))} == {}


def test_the_template_of_new_models_is_tuned_as_well() -> None:
    template = pick(render(TUNED), "ConfigMap", "ml-assets-model-template")["data"]
    spec = yaml.safe_load(template["deployment"])["spec"]["template"]["spec"]
    assert spec["priorityClassName"] == "business"
    assert {"name": "TZ", "value": "Europe/Vienna"} in spec["containers"][0]["env"]


def test_one_model_may_have_a_graphics_processor_and_workers_of_its_own() -> None:
    amounts = {"cpu": "4", "memory": "8Gi", "nvidia.com/gpu": 1}
    resources = {"requests": amounts, "limits": amounts}
    own = {"workers": 3, "resources": resources, "env": {"ONE": "1"}}
    values = {"modelServer": {"env": {"ALL": "1"}}, "models": {"breast_cancer": own}}
    (container,) = _containers(pick(render(values), "Deployment", SERVERS))
    assert container["resources"] == resources
    given = {item["name"]: item.get("value") for item in container["env"]}
    assert {"ALL": "1", "ONE": "1", "ML_ASSETS_WORKERS": "3"}.items() <= given.items()
    (other,) = _containers(pick(render(values), "Deployment", "ml-assets-telco-churn"))
    assert "ONE" not in {item["name"] for item in other["env"]}


def test_servers_are_spread_as_the_values_say_or_left_to_the_cluster() -> None:
    constraint = {
        "topologyKey": "rack",
        "maxSkew": 2,
        "whenUnsatisfiable": "DoNotSchedule",
    }
    spec = servers(spread=[constraint])
    (found,) = spec["template"]["spec"]["topologySpreadConstraints"]
    assert constraint.items() <= found.items()
    assert found["labelSelector"]["matchLabels"] == spec["selector"]["matchLabels"]
    assert "topologySpreadConstraints" not in servers(spread=[])["template"]["spec"]


def test_the_service_of_each_model_has_the_annotations_of_the_values() -> None:
    note = {"example.com/mesh": "on"}
    objects = render({"modelServer": {"serviceAnnotations": note}})
    assert pick(objects, "Service", SERVERS)["metadata"]["annotations"] == note
    assert "annotations" not in pick(objects, "Service", "ml-assets-mlflow")["metadata"]


@pytest.mark.parametrize(
    "values, message",
    [
        (
            {"modelServer": {"env": {"ML_ASSETS_MODEL": "x"}}},
            "modelServer.env.ML_ASSETS_MODEL is set by the chart itself: leave it out",
        ),
        (
            {"mlflow": {"env": {"MLFLOW_DISABLE_TELEMETRY": "x"}}},
            "mlflow.env.MLFLOW_DISABLE_TELEMETRY is set by the chart itself",
        ),
        (
            {"storage": {"environment": {"ML_ASSETS_HOME": "/x"}}},
            "storage.environment.ML_ASSETS_HOME is set by the chart itself",
        ),
        (
            {"modelServer": {"podLabels": {"ml-assets.dev/model": "x"}}},
            "invalid propertyName 'ml-assets.dev/model'",
        ),
        (
            {"ingress": {"enabled": True, "host": "a"},
             "gateway": {"enabled": True, "parentRefs": [{"name": "a"}]}},
            "ingress.enabled and gateway.enabled are both true: a model has one way in",
        ),
    ],
)  # fmt: skip
def test_values_that_clash_with_the_chart_are_refused(
    values: Object, message: str
) -> None:
    with pytest.raises(helm_python.HelmError) as error:
        render(values)
    assert message in str(error.value)


@pytest.mark.parametrize(
    "values, message",
    [
        ({"extraVolumes": [{"name": "x", "hostPath": {}}]}, "'hostPath' not allowed"),
        ({"extraVolumes": [{"name": "home", "emptyDir": {}}]}, "/0/name': 'not'"),
        ({"extraVolumeMounts": [{"name": "x", "mountPath": "/tmp"}]}, "'not' failed"),
        ({"env": {"A": {"value": "x"}}}, "additional properties 'value' not allowed"),
        ({"env": {"A-B": "x"}}, "additional properties 'A-B' not allowed"),
        ({"workers": 0}, "at '/modelServer/workers': minimum"),
        ({"affinity": {"podaffinity": {}}}, "'podaffinity' not allowed"),
    ],
)
def test_a_wrong_value_of_a_pod_is_refused_with_its_path(
    values: Object, message: str
) -> None:
    with pytest.raises(helm_python.HelmValuesError) as error:
        render({"modelServer": values})
    assert "at '/modelServer/" in str(error.value) and message in str(error.value)


def test_a_gateway_leads_each_model_to_its_own_service_and_there_is_no_ingress() -> (
    None
):
    gateway = {
        "enabled": True,
        "parentRefs": [{"name": "public", "namespace": "gateways"}],
        "hostnames": ["models.example.com"],
        "annotations": {"example.com/a": "b"},
    }
    objects = render({"gateway": gateway})
    routes = [item for item in objects if item["kind"] == "HTTPRoute"]
    assert len(routes) == 3
    assert not [item for item in objects if item["kind"] == "Ingress"]
    services = {i["metadata"]["name"] for i in objects if i["kind"] == "Service"}
    for route in routes:
        spec = route["spec"]
        assert spec["parentRefs"] == gateway["parentRefs"]
        assert spec["hostnames"] == gateway["hostnames"]
        assert route["metadata"]["annotations"] == gateway["annotations"]
        (rule,) = spec["rules"]
        assert [(it["name"], it["port"]) for it in rule["backendRefs"]] == [
            (route["metadata"]["name"], 8080)
        ]
        assert route["metadata"]["name"] in services
    policy = pick(objects, "NetworkPolicy", "ml-assets-model-servers")["spec"]
    assert len(policy["ingress"][0]["from"]) == 2


def _containers(deployment: Object) -> list[Object]:
    found: list[Object] = deployment["spec"]["template"]["spec"]["containers"]
    return found
