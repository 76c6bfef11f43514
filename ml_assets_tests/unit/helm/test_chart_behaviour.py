"""How the objects of the chart work together: rollouts, rights, routes."""

from itertools import chain
from typing import Any

import pytest
import yaml

from ml_assets.delivery.environments import CODE_LOCATION_DEPLOYMENT
from ml_assets.serving.settings import ServerSettings
from ml_assets.targets.model_template import PARTS
from ml_assets_tests.kits.chart import (
    EVERYTHING,
    Object,
    everything,
    label,
    merge,
    pick,
    pods,
    render,
)

NAME = "ml-assets-breast-cancer"
SCALERS = {"autoscaler", "scaledobject"}
KEDA = {
    "autoscaling": {"keda": {"enabled": True, "prometheusUrl": "http://prometheus"}}
}
READING = {"get", "list", "watch"}


@pytest.fixture(scope="module")
def server() -> Object:
    return pick(render(), "Deployment", NAME)["spec"]


@pytest.fixture(scope="module")
def container(server: Object) -> Object:
    (only,) = server["template"]["spec"]["containers"]
    return only


def test_a_rollout_never_takes_a_server_away_before_another_is_ready(
    server: Object,
) -> None:
    assert server["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    assert server["progressDeadlineSeconds"] == 300


def test_an_upgrade_of_the_chart_leaves_the_generation_alone(server: Object) -> None:
    annotations = server["template"]["metadata"].get("annotations", {})
    assert "ml-assets.dev/generation" not in annotations


def test_a_pod_knows_its_generation_by_the_downward_api(container: Object) -> None:
    (item,) = [e for e in container["env"] if e["name"] == "ML_ASSETS_GENERATION"]
    path = item["valueFrom"]["fieldRef"]["fieldPath"]
    assert path == "metadata.annotations['ml-assets.dev/generation']"


def test_servers_follow_the_keys_of_a_secret_where_one_is_named() -> None:
    values = {"modelServer": {"apiKeysSecret": "keys"}}
    pod = pick(render(values), "Deployment", NAME)["spec"]["template"]["spec"]
    (only,) = pod["containers"]
    environment = {item["name"]: item.get("value") for item in only["env"]}
    (mount,) = [item for item in only["volumeMounts"] if item["name"] == "api-keys"]
    # A file that is mounted by itself is not followed by the kubelet.
    assert "subPath" not in mount and mount["readOnly"]
    assert environment["ML_ASSETS_KEYS_FILE"] == f"{mount['mountPath']}/keys.json"
    (volume,) = [item for item in pod["volumes"] if item["name"] == "api-keys"]
    assert volume["secret"]["secretName"] == "keys"
    assert volume["secret"]["items"] == [{"key": "keys.json", "path": "keys.json"}]
    assert pod["securityContext"]["fsGroup"]


def test_without_keys_a_server_mounts_no_secret(container: Object) -> None:
    assert "ML_ASSETS_KEYS_FILE" not in {item["name"] for item in container["env"]}


def test_servers_know_the_origins_of_pages_that_may_read_answers() -> None:
    values = {"modelServer": {"corsOrigins": ["https://a.example", "http://b:3000"]}}
    pod = pick(render(values), "Deployment", NAME)["spec"]["template"]["spec"]
    (only,) = pod["containers"]
    environment = {item["name"]: item.get("value") for item in only["env"]}
    assert environment["ML_ASSETS_CORS_ORIGINS"] == "https://a.example,http://b:3000"


def test_one_model_may_have_keys_of_its_own() -> None:
    objects = render({"models": {"breast_cancer": {"apiKeysSecret": "own"}}})
    volumes = [
        [item.get("secret", {}).get("secretName") for item in pod.spec["volumes"]]
        for pod in pods(objects)
        if pod.owner.startswith("Deployment/ml-assets-")
    ]
    assert sum("own" in names for names in volumes) == 1
    (test,) = pick(objects, "Pod", "ml-assets-test")["spec"]["containers"]
    (sent,) = test["env"]
    assert sent["name"] == "ML_ASSETS_API_KEY"
    reference = {"name": "own", "key": "client-key", "optional": True}
    assert sent["valueFrom"]["secretKeyRef"] == reference


def test_a_stopping_pod_has_time_to_leave_the_service_and_to_finish(
    server: Object, container: Object
) -> None:
    pause = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    environment = {item["name"]: item.get("value") for item in container["env"]}
    settings = ServerSettings.load({}, {k: v for k, v in environment.items() if v})
    needed = pause + settings.drain_seconds + settings.shutdown_seconds
    assert settings.shutdown_seconds == 30
    assert server["template"]["spec"]["terminationGracePeriodSeconds"] > needed
    # A failing endpoint leaves the Service after two probes; the pause is longer.
    probe = container["readinessProbe"]
    assert pause > probe["periodSeconds"] * probe["failureThreshold"]


def test_traffic_comes_with_readiness_and_restarts_only_with_death(
    container: Object,
) -> None:
    assert container["readinessProbe"]["httpGet"]["path"] == "/v2/health/ready"
    for probe in ("startupProbe", "livenessProbe"):
        assert container[probe]["httpGet"]["path"] == "/v2/health/live"


def test_the_autoscaler_alone_decides_on_the_number_of_pods(server: Object) -> None:
    assert "replicas" not in server
    fixed = render({"modelServer": {"autoscaling": {"enabled": False}, "replicas": 4}})
    assert pick(fixed, "Deployment", NAME)["spec"]["replicas"] == 4
    assert not [item for item in fixed if item["kind"] == "HorizontalPodAutoscaler"]


def test_one_model_can_differ_from_the_others() -> None:
    scaling = {"minReplicas": 5, "maxReplicas": 9}
    objects = render({"models": {"breast_cancer": {"autoscaling": scaling}}})
    special = pick(objects, "HorizontalPodAutoscaler", NAME)["spec"]
    other = pick(objects, "HorizontalPodAutoscaler", "ml-assets-telco-churn")["spec"]
    assert (special["minReplicas"], other["minReplicas"]) == (5, 2)
    assert special["metrics"] == other["metrics"]


@pytest.mark.parametrize("replicas, budgets", [(1, 0), (2, 3)])
def test_a_budget_protects_several_pods_and_never_a_single_one(
    replicas: int, budgets: int
) -> None:
    values = {"autoscaling": {"enabled": False}, "replicas": replicas}
    kinds = [item["kind"] for item in render({"modelServer": values})]
    assert kinds.count("PodDisruptionBudget") == budgets


def test_services_budgets_and_policies_select_pods_that_exist() -> None:
    objects = everything()
    labels = [pod.metadata["labels"] for pod in pods(objects)]
    for item in objects:
        if item["kind"] in ("Service", "NetworkPolicy", "PodDisruptionBudget"):
            spec = item["spec"]
            selector = spec.get("podSelector") or spec["selector"]
            wanted = selector.get("matchLabels", selector)
            assert any(wanted.items() <= one.items() for one in labels), label(item)


def test_the_services_of_two_models_share_no_pod() -> None:
    objects = render()
    for service in (item for item in objects if item["kind"] == "Service"):
        wanted = service["spec"]["selector"].items()
        owners = [pod.owner for pod in pods(objects) if wanted <= _labels(pod)]
        assert owners == [f"Deployment/{service['metadata']['name']}"]


def test_the_deployer_may_patch_the_model_servers_and_nothing_else() -> None:
    rules = pick(render(), "Role", "ml-assets-deployer")["rules"]
    writing = [rule for rule in rules if not set(rule["verbs"]) <= READING]
    (rule,) = writing
    assert rule["resources"] == ["deployments"]
    assert set(rule["verbs"]) - READING == {"patch"}
    deployments = [item for item in render() if item["kind"] == "Deployment"]
    servers = {d["metadata"]["name"] for d in deployments} - {"ml-assets-mlflow"}
    assert set(rule["resourceNames"]) == servers
    read = [*chain.from_iterable(rule["resources"] for rule in rules[1:])]
    assert read == ["pods", "events", "pods/log"]


def test_new_models_may_be_made_where_the_values_let_the_deployer() -> None:
    read, *written = pick(render(), "Role", "ml-assets-model-objects")["rules"]
    assert (read["resourceNames"], read["verbs"]) == (
        ["ml-assets-model-template"],
        ["get"],
    )
    gateway = {"gateway": {"enabled": True, "parentRefs": [{"name": "public"}]}}
    made = set()
    for values in (EVERYTHING, merge(gateway, {"modelServer": KEDA})):
        template = _template(render(values))
        parts = PARTS.keys() & template.keys()
        # The one scaler that there is has the name of its part.
        assert SCALERS - parts == SCALERS - {template["scaler"]}
        made |= {yaml.safe_load(template[part])["kind"] for part in parts}
    assert made == {*PARTS.values()}
    granted = {rule["resources"][0]: {*rule["verbs"]} for rule in written}
    plural = {f"{kind.lower()}s".replace("ingresss", "ingresses") for kind in made}
    assert granted.keys() == plural
    for verbs in granted.values():
        assert verbs >= {"get", "create", "patch", "delete"}


def test_without_that_right_there_is_no_role_and_what_was_made_keeps_its_owner() -> (
    None
):
    off = render({"modelTemplate": {"enabled": False}})
    labels = {label(item) for item in off}
    assert not [name for name in labels if name.endswith("/ml-assets-model-objects")]
    assert "ConfigMap/ml-assets-model-template" in labels
    assert "ML_ASSETS_MODEL_TEMPLATE" not in str(off)
    named = pick(render(), "ConfigMap", "ml-assets-storage")["data"]
    assert named["ML_ASSETS_MODEL_TEMPLATE"] == "ml-assets-model-template"


def test_releases_may_patch_the_code_location_where_it_is_named() -> None:
    given = {"deployer": {"codeLocation": CODE_LOCATION_DEPLOYMENT}}
    before = pick(render(), "Role", "ml-assets-deployer")["rules"]
    rules = pick(render(given), "Role", "ml-assets-deployer")["rules"]
    added = {*rules[0]["resourceNames"]} - {*before[0]["resourceNames"]}
    assert added == {CODE_LOCATION_DEPLOYMENT} and rules[1:] == before[1:]


def test_no_role_reaches_beyond_the_namespace_or_reads_secrets() -> None:
    objects = everything()
    assert not [label(item) for item in objects if "ClusterRole" in item["kind"]]
    for role in (item for item in objects if item["kind"] == "Role"):
        for rule in role["rules"]:
            every = [*rule["apiGroups"], *rule["resources"], *rule["verbs"]]
            assert "*" not in every and "secrets" not in every, label(role)


def test_only_who_needs_job_rights_gets_them() -> None:
    assert not [item for item in render() if label(item) == "Role/ml-assets-steps"]
    assert pick(everything(), "Role", "ml-assets-steps")["rules"]


def test_the_ingress_leads_each_model_to_its_own_service() -> None:
    (rule,) = pick(everything(), "Ingress", "ml-assets")["spec"]["rules"]
    routes = {
        path["path"]: path["backend"]["service"]["name"]
        for path in rule["http"]["paths"]
    }
    assert routes["/models/telco_churn"] == "ml-assets-telco-churn"
    assert routes["/v2/models/telco_churn"] == "ml-assets-telco-churn"


def test_claims_outlive_the_release() -> None:
    (claim,) = [item for item in render() if item["kind"] == "PersistentVolumeClaim"]
    assert claim["metadata"]["name"] == "ml-assets-mlflow"
    assert claim["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"


def test_a_claim_that_exists_is_used_and_none_is_made() -> None:
    objects = render({"mlflow": {"persistence": {"existingClaim": "old"}}})
    assert not [item for item in objects if item["kind"] == "PersistentVolumeClaim"]
    used = {
        volume["persistentVolumeClaim"]["claimName"]
        for pod in pods(objects)
        for volume in pod.spec["volumes"]
        if "persistentVolumeClaim" in volume
    }
    assert used == {"old"}


def test_switches_turn_whole_parts_off() -> None:
    off = render({"mlflow": {"enabled": False}, "networkPolicy": {"enabled": False}})
    assert not [label(item) for item in off if "mlflow" in label(item)]
    assert not [label(item) for item in off if item["kind"] == "NetworkPolicy"]


def test_a_long_release_name_still_makes_names_of_kubernetes() -> None:
    objects = render(merge(EVERYTHING, {"fullnameOverride": "x" * 60}))
    assert all(len(item["metadata"]["name"]) <= 63 for item in objects)


def _template(objects: list[Object]) -> dict[str, str]:
    data: dict[str, str] = pick(objects, "ConfigMap", "ml-assets-model-template")[
        "data"
    ]
    return data


def _labels(pod: Any) -> Any:
    return pod.metadata["labels"].items()
