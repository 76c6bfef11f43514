"""Our values for the official Dagster chart, and the run pods that they lead to."""

import importlib.metadata
import subprocess
from typing import Any

import kubernetes_validate
import pytest
import yaml
from dagster._cli import cli as dagster_cli
from dagster_k8s.job import (
    DagsterK8sJobConfig,
    UserDefinedDagsterK8sConfig,
    construct_dagster_k8s_job,
)
from kubernetes.client import ApiClient

import ml_assets
from ml_assets.cli.init.project import contents
from ml_assets_tests.kits.chart import (
    CHART,
    ROOT,
    VALUES_FILES,
    Object,
    Pod,
    everything,
    merge,
    pick,
    render,
)
from ml_assets_tests.kits.pod_security import violations

# The values of a project that `ml-assets init` makes, which has no file of ours below.
MADE = "init"
FOLDER = ROOT / "helm" / "dagster"
# The chart's names of what the run launcher calls otherwise.
SECTIONS = {
    "containerConfig": "container_config",
    "podSpecConfig": "pod_spec_config",
    "podTemplateSpecMetadata": "pod_template_spec_metadata",
    "jobSpecConfig": "job_spec_config",
}


@pytest.fixture(scope="module", params=[*VALUES_FILES, MADE])
def values(request: pytest.FixtureRequest) -> Object:
    if request.param == MADE:
        made: Object = yaml.safe_load(contents("shop")["helm/dagster-values.yaml"])
        return made
    overlay = yaml.safe_load((FOLDER / f"{request.param}.yaml").read_text())
    base = yaml.safe_load((FOLDER / "values.yaml").read_text())
    return merge(base, overlay)


@pytest.fixture(scope="module")
def location(values: Object) -> Object:
    (only,) = values["dagster-user-deployments"]["deployments"]
    return only


@pytest.fixture(scope="module")
def job(values: Object) -> Object:
    """The Job that the run launcher makes of these values."""
    launcher = values["runLauncher"]["config"]["k8sRunLauncher"]
    given = {SECTIONS[key]: value for key, value in launcher["runK8sConfig"].items()}
    config = DagsterK8sJobConfig(
        job_image="registry/ml-assets:1",
        dagster_home=values["global"]["dagsterHome"],
        image_pull_policy=launcher["imagePullPolicy"],
        service_account_name="dagster",
        instance_config_map="dagster-instance",
        postgres_password_secret=values["global"]["postgresqlSecretName"],
    )
    made = construct_dagster_k8s_job(
        config,
        ["dagster", "api", "execute_run", "{}"],
        "dagster-run-1",
        component="run_worker",
        user_defined_k8s_config=UserDefinedDagsterK8sConfig.from_dict(given),
    )
    return ApiClient().sanitize_for_serialization(made)


@pytest.fixture(scope="module")
def run(job: Object) -> Pod:
    template = job["spec"]["template"]
    return Pod("run", template["metadata"], template["spec"])


def test_the_values_belong_to_the_version_that_is_installed() -> None:
    first = (FOLDER / "values.yaml").read_text().splitlines()[0]
    assert importlib.metadata.version("dagster") in first


def test_both_charts_name_the_image_of_this_version() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    values = yaml.safe_load((FOLDER / "values.yaml").read_text())
    assert chart["appVersion"] == ml_assets.__version__
    assert values["dagsterDaemon"]["image"]["tag"] == f"v{ml_assets.__version__}-base"
    server = pick(render(), "Deployment", "ml-assets-mlflow")
    (container,) = server["spec"]["template"]["spec"]["containers"]
    image = values["dagsterDaemon"]["image"]
    assert container["image"] == f"{image['repository']}:{image['tag']}"


def test_a_run_is_a_job_that_kubernetes_takes_and_cleans_up(job: Object) -> None:
    kubernetes_validate.validate(job, "1.34", strict=True)
    assert job["spec"]["ttlSecondsAfterFinished"] == 86400


def test_a_run_pod_passes_pod_security_restricted(run: Pod) -> None:
    assert violations(run) == []


def test_every_dagster_pod_gets_the_same_security_contexts(
    values: Object, location: Object, run: Pod
) -> None:
    parts = [values["dagsterWebserver"], values["dagsterDaemon"], location]
    for part in parts:
        pod = {
            "securityContext": part["podSecurityContext"],
            "volumes": part["volumes"],
        }
        container = {"name": "x", "securityContext": part["securityContext"]}
        assert violations(Pod("x", {}, pod | {"containers": [container]})) == []
        assert part["podSecurityContext"] == run.spec["securityContext"]
        assert part["securityContext"] == run.containers[0]["securityContext"]


def test_every_dagster_container_can_write_to_tmp_and_has_limits(
    values: Object, location: Object, run: Pod
) -> None:
    parts = [values["dagsterWebserver"], values["dagsterDaemon"], location]
    for part in [*parts, run.containers[0]]:
        paths = [mount["mountPath"] for mount in part["volumeMounts"]]
        assert "/tmp" in paths  # nosec B108 - a path in a pod
        assert {"cpu", "memory"} <= set(part["resources"]["limits"])
        assert {"cpu", "memory"} <= set(part["resources"]["requests"])


def test_a_run_has_resources_and_an_account_of_its_own(
    location: Object, run: Pod
) -> None:
    # The chart would lay the code location's over them.
    assert location["includeConfigInLaunchedRuns"] == {"enabled": False}
    account = pick(render(), "RoleBinding", "ml-assets-deployer")["subjects"][0]
    assert run.spec["serviceAccountName"] == account["name"]
    assert run.containers[0]["resources"] != location["resources"]


def test_runs_and_the_code_location_share_environment_and_storage(
    location: Object, run: Pod
) -> None:
    environment = run.containers[0]["env"]
    assert all(item in environment for item in location["env"])
    storage = pick(render(), "ConfigMap", "ml-assets-storage")
    assert storage["data"]["ML_ASSETS_STORAGE"] == "s3://models/production"
    name = {"name": storage["metadata"]["name"]}
    assert location["envConfigMaps"] == [name]
    assert {"configMapRef": name} in run.containers[0]["envFrom"]
    keys = {"name": "ml-assets-storage-credentials", "optional": True}
    assert location["envSecrets"] == [keys]
    assert {"secretRef": keys} in run.containers[0]["envFrom"]


def test_runs_and_the_code_location_have_the_database_of_the_exporter(
    location: Object, run: Pod
) -> None:
    exporter = pick(everything(), "Deployment", "ml-assets-exporter")
    (container,) = exporter["spec"]["template"]["spec"]["containers"]
    for item in (location, run.containers[0], container):
        (url,) = [e for e in item["env"] if e["name"] == "ML_ASSETS_DATABASE_URL"]
        secret = {"name": "ml-assets-database", "key": "url"}
        assert url["valueFrom"] == {"secretKeyRef": secret}


def test_no_pod_of_dagster_or_of_a_run_has_a_claim(
    values: Object, location: Object, run: Pod
) -> None:
    parts = [values["dagsterWebserver"], values["dagsterDaemon"], location, run.spec]
    for part in parts:
        assert not [v for v in part["volumes"] if "persistentVolumeClaim" in v]


def test_a_run_may_ask_mlflow_and_the_model_servers(run: Pod, location: Object) -> None:
    policies = [
        pick(render(), "NetworkPolicy", f"ml-assets-{name}")
        for name in ("mlflow", "model-servers")
    ]
    for policy in policies:
        peer = policy["spec"]["ingress"][0]["from"][0]
        wanted = peer["podSelector"]["matchLabels"].items()
        assert wanted <= run.metadata["labels"].items()
        assert wanted <= location["labels"].items()
    service = pick(render(), "Service", "ml-assets-mlflow")
    uri = next(e for e in location["env"] if e["name"] == "MLFLOW_TRACKING_URI")
    port = service["spec"]["ports"][0]["port"]
    assert uri["value"] == f"http://{service['metadata']['name']}:{port}"


def test_passwords_are_named_and_never_written(
    values: Object, location: Object
) -> None:
    assert values["generatePostgresqlPasswordSecret"] is False
    assert values["postgresql"]["postgresqlPassword"] == ""
    for item in location["env"]:
        if "PASSWORD" in item["name"] or "USERNAME" in item["name"]:
            assert "secretKeyRef" in item["valueFrom"]


def test_the_code_location_is_replaced_without_a_gap(location: Object) -> None:
    assert location["replicaCount"] == 2
    rolling = location["deploymentStrategy"]["rollingUpdate"]
    assert rolling == {"maxSurge": 1, "maxUnavailable": 0}
    # Several replicas are for this way of starting only.
    assert location["dagsterApiGrpcArgs"] and "codeServerArgs" not in location


def test_runs_that_hang_or_lose_their_pod_are_dealt_with(values: Object) -> None:
    daemon = values["dagsterDaemon"]
    assert daemon["runMonitoring"]["enabled"]
    assert daemon["runMonitoring"]["maxRuntimeSeconds"] > 0
    assert daemon["runRetries"]["maxRetries"] > 0


@pytest.mark.parametrize("part", ["dagsterWebserver", "dagsterDaemon"])
def test_no_pod_waits_for_the_database_in_an_image_that_runs_as_root(
    values: dict[str, Any], part: str
) -> None:
    assert values[part]["checkDbReadyInitContainer"] is False


def test_the_command_of_the_code_location_is_one_that_dagster_has(
    location: Object,
) -> None:
    """As the official chart puts it together; parsed by the real program, not run."""
    command = dagster_cli.commands["api"].commands["grpc"]  # type: ignore[attr-defined]
    port = str(location["port"])
    arguments = ["-h", "0.0.0.0", "-p", port, *location["dagsterApiGrpcArgs"]]
    context = command.make_context("grpc", arguments)
    package = location["name"].replace("-", "_")
    assert f"{package}.definitions" in str(context.params["module_name"])


def test_the_probes_of_the_code_location_run_what_its_image_has() -> None:
    """Its start-up probe makes it ready, and its liveness probe costs little."""
    given = yaml.safe_load((FOLDER / "values.yaml").read_text())
    (location,) = given["dagster-user-deployments"]["deployments"]
    assert location["readinessProbe"] == {"enabled": False}
    for name in ("startupProbe", "livenessProbe"):
        command = location[name]["exec"]["command"]
        assert command == [
            *("python", "-I", "/opt/healthcheck.py"),
            *("grpc", f"127.0.0.1:{location['port']}"),
        ]
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert "COPY docker/healthcheck.py /opt/healthcheck.py" in dockerfile


def test_init_containers_look_names_up_with_a_program_of_our_image(
    values: Object, location: Object
) -> None:
    assert values["busybox"]["image"] == location["image"]
    assert (
        "docker/nslookup /usr/local/bin/nslookup" in (ROOT / "Dockerfile").read_text()
    )
    found = subprocess.run(["sh", str(ROOT / "docker/nslookup"), "localhost"])
    assert found.returncode == 0
    missing = subprocess.run(["sh", str(ROOT / "docker/nslookup"), "nowhere.invalid"])
    assert missing.returncode != 0


def test_the_jobs_that_uninstalling_leaves_are_found_by_their_label(
    job: Object,
) -> None:
    text = (ROOT / "helm/ml-assets/README.md").read_text()
    label, _, value = text.partition("--selector ")[2].partition("`")[0].partition("=")
    assert job["metadata"]["labels"][label] == value
    assert job["spec"]["ttlSecondsAfterFinished"] == 86_400
