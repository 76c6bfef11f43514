"""Where the charts keep what lasts: a bucket and a database, and no shared volume."""

from typing import Any

import helm_python
import pytest
import yaml

from ml_assets_tests.kits.chart import (
    CHART,
    EVERYTHING,
    ROOT,
    Object,
    everything,
    merge,
    pick,
    pods,
    render,
)

STORES = ("values-s3", "values-gcs", "values-azure", "values-minio")


def server(objects: list[Object]) -> Object:
    found = pick(objects, "Deployment", "ml-assets-telco-churn")
    return dict(found["spec"]["template"])


def environment(template: Object) -> dict[str, Any]:
    (container,) = template["spec"]["containers"]
    return {item["name"]: item.get("value", item) for item in container["env"]}


@pytest.mark.parametrize("store", [*STORES, "values-local", "values-production"])
def test_nothing_needs_a_volume_that_two_pods_write(store: str) -> None:
    objects = render({"storage": {"url": "s3://b"}}, store)
    objects += everything()
    text = yaml.safe_dump(objects)
    assert "ReadWriteMany" not in text
    claims = [i["metadata"]["name"] for i in objects if "Claim" in i["kind"]]
    assert set(claims) == {"ml-assets-mlflow"}


def test_without_a_storage_the_chart_says_what_to_name() -> None:
    with helm_python.Chart.load(CHART) as chart:
        with pytest.raises(Exception, match="storage.url is empty: name a bucket"):
            chart.render({}, name="ml-assets", namespace="ml")


@pytest.mark.parametrize(
    "url", ["/var/lib/ml-assets", "s3:/bucket", "nfs://host/path", "file://relative"]
)
def test_a_url_of_another_kind_is_refused(url: str) -> None:
    with pytest.raises(Exception, match="url"):
        render({"storage": {"url": url}})


def test_a_server_has_the_storage_and_never_the_database() -> None:
    for pod in pods(everything()):
        if pod.owner.startswith("Deployment/ml-assets-") and "exporter" not in (
            pod.owner
        ):
            names = {e["name"] for c in pod.containers for e in c.get("env", [])}
            assert "ML_ASSETS_DATABASE_URL" not in names, pod.owner
    found = environment(server(render()))
    assert found["ML_ASSETS_STORAGE"] == "s3://models/production"


def test_a_server_has_a_disk_of_its_own_for_its_log_and_cache() -> None:
    template = server(render())
    (container,) = template["spec"]["containers"]
    home = environment(template)["ML_ASSETS_HOME"]
    mounts = {item["name"]: item["mountPath"] for item in container["volumeMounts"]}
    assert mounts["home"] == home
    volumes = {item["name"]: item for item in template["spec"]["volumes"]}
    assert volumes["home"]["emptyDir"] == {"sizeLimit": "4Gi"}


def test_that_disk_may_be_a_volume_of_the_pod() -> None:
    home = {"size": "20Gi", "storageClassName": "fast"}
    template = server(render({"modelServer": {"home": home}}))
    volumes = {item["name"]: item for item in template["spec"]["volumes"]}
    claim = volumes["home"]["ephemeral"]["volumeClaimTemplate"]["spec"]
    assert claim["accessModes"] == ["ReadWriteOnce"]
    assert claim["storageClassName"] == "fast"
    assert claim["resources"]["requests"]["storage"] == "20Gi"


@pytest.mark.parametrize(
    "store, annotation",
    [
        ("values-s3", "eks.amazonaws.com/role-arn"),
        ("values-gcs", "iam.gke.io/gcp-service-account"),
        ("values-azure", "azure.workload.identity/client-id"),
    ],
)
def test_accounts_are_known_to_the_cloud(store: str, annotation: str) -> None:
    objects = render({}, store)
    values = [
        pick(objects, "ServiceAccount", name)["metadata"]["annotations"][annotation]
        for name in ("ml-assets", "ml-assets-runs")
    ]
    # Who serves may do less than who trains.
    assert len(set(values)) == 2
    dagster = yaml.safe_load((ROOT / f"helm/dagster/{store}.yaml").read_text())
    account = dagster["dagster-user-deployments"]["serviceAccount"]
    assert account["annotations"] == {annotation: values[1]}


def test_azure_wants_a_label_of_each_pod() -> None:
    label = ("azure.workload.identity/use", "true")
    overrides = {"exporter": EVERYTHING["exporter"]}
    for pod in pods(render(overrides, "values-azure")):
        if "mlflow" not in pod.owner and "test" not in pod.owner:
            assert label in pod.metadata["labels"].items(), pod.owner
    dagster = yaml.safe_load((ROOT / "helm/dagster/values-azure.yaml").read_text())
    run = dagster["runLauncher"]["config"]["k8sRunLauncher"]["runK8sConfig"]
    assert label in run["podTemplateSpecMetadata"]["labels"].items()


def test_a_store_of_ones_own_has_an_endpoint_and_keys_in_a_secret() -> None:
    template = server(render({}, "values-minio"))
    assert environment(template)["AWS_ENDPOINT_URL"] == "http://minio.minio:9000"
    (container,) = template["spec"]["containers"]
    secret = {"secretRef": {"name": "ml-assets-storage-credentials"}}
    assert container["envFrom"] == [secret]


def egress(objects: list[Object], component: str) -> list[Object]:
    found = pick(objects, "NetworkPolicy", f"ml-assets-{component}-storage")
    return list(found["spec"]["egress"])


@pytest.mark.parametrize("component", ["model-server", "exporter"])
def test_the_storage_is_reached_and_where_it_is_can_be_said(component: str) -> None:
    (rule,) = egress(everything(), component)
    assert rule["ports"] == [{"port": 443, "protocol": "TCP"}]
    (rule,) = egress(render({}, "values-minio"), component)
    assert rule["ports"] == [{"port": 9000, "protocol": "TCP"}] and rule["to"]


def test_a_directory_is_a_volume_and_needs_no_network() -> None:
    claim = {"persistentVolumeClaim": {"claimName": "files"}}
    storage = {"url": "file:///srv/models", "existingClaim": "files"}
    objects = render({"storage": storage})
    template = server(objects)
    (container,) = template["spec"]["containers"]
    assert {"name": "storage", "mountPath": "/srv/models"} in container["volumeMounts"]
    assert {"name": "storage", **claim} in template["spec"]["volumes"]
    names = [i["metadata"]["name"] for i in objects if i["kind"] == "NetworkPolicy"]
    assert "ml-assets-model-server-storage" not in names


def test_a_directory_without_a_claim_is_refused() -> None:
    with pytest.raises(Exception, match="existingClaim"):
        render({"storage": {"url": "file:///srv/models"}})


def test_the_store_of_one_node_is_that_of_the_local_values() -> None:
    text = (ROOT / "helm" / "local" / "store.yaml").read_text()
    claim, deployment, service = yaml.safe_load_all(text)
    values = yaml.safe_load((CHART / "values-local.yaml").read_text())["storage"]
    name, port = service["metadata"]["name"], service["spec"]["ports"][0]["port"]
    assert values["environment"]["AWS_ENDPOINT_URL"] == f"http://{name}:{port}"
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    bucket = values["url"].removeprefix("s3://")
    assert f"/data/{bucket}" in container["command"][-1]
    assert merge(claim, {})["spec"]["accessModes"] == ["ReadWriteOnce"]
