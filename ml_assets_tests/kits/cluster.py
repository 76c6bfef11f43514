"""A namespace of a real cluster, with both charts, Postgres, and pods that ask."""

import json
import os
from pathlib import Path
from typing import Any

import helm_python
import yaml
from kubernetes import client, config, utils

from ml_assets_tests.kits.chart import CHART, ROOT, Object, merge
from ml_assets_tests.kits.compose import FINISHED, LAUNCH, RUNS
from ml_assets_tests.kits.processes import await_true

DAGSTER_REPOSITORY = "https://dagster-io.github.io/helm"
DAGSTER_VERSION = "1.13.27"
WEBSERVER = "dagster-dagster-webserver:3000"
LOCATION = "ml-assets"
HERE = Path(__file__).parent
PATIENCE = 900.0
USER = 10001
PASSWORD = "e2e-password"

RESTRICTED = {
    "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}
CONTAINER = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
}


class Site:
    """The platform in one namespace of the cluster that KUBECONFIG names.

    Images are those of values.yaml unless ``ML_ASSETS_E2E_IMAGE`` (base) and
    ``ML_ASSETS_E2E_SERVER_IMAGE`` (production) name others as REPOSITORY:TAG;
    ``ML_ASSETS_E2E_POSTGRES`` names the database's, and ``ML_ASSETS_E2E_DAGSTER_CHART``
    a directory or archive of the Dagster chart where its repository cannot be reached.
    """

    def __init__(self, namespace: str) -> None:
        config.load_kube_config(os.environ["KUBECONFIG"])
        self.namespace = namespace
        self.api = client.ApiClient()
        self.core = client.CoreV1Api(self.api)
        self.apps = client.AppsV1Api(self.api)
        self.helm = helm_python.Config(
            kubeconfig_path=os.environ["KUBECONFIG"], namespace=namespace
        )

    def prepare(self) -> None:
        """The namespace under Pod Security, the secrets, and Postgres."""
        labels = {"pod-security.kubernetes.io/enforce": "restricted"}
        meta = {"name": self.namespace, "labels": labels}
        self.core.create_namespace({"metadata": meta})
        secrets = {
            "dagster-postgresql-secret": {"postgresql-password": PASSWORD},
            "mlflow-auth": {
                "admin-username": "admin",
                "admin-password": PASSWORD,
                "flask-secret-key": "0" * 32,
            },
        }
        for name, data in secrets.items():
            self.core.create_namespaced_secret(
                self.namespace, {"metadata": {"name": name}, "stringData": data}
            )
        for item in _postgres():
            utils.create_from_dict(self.api, item, namespace=self.namespace)
        self.await_available("postgresql")

    def install(self) -> None:
        """Both charts, as on one machine."""
        self.helm.install(
            CHART, "ml-assets", ml_assets_values(), namespace=self.namespace
        )
        chart = os.environ.get("ML_ASSETS_E2E_DAGSTER_CHART")
        source: dict[str, str] = (
            {}
            if chart
            else {
                "chart_repo_url": DAGSTER_REPOSITORY,
                "chart_version": DAGSTER_VERSION,
            }
        )
        self.helm.install(
            chart or "dagster",
            "dagster",
            dagster_values(),
            namespace=self.namespace,
            **source,
        )
        for name in ("dagster-dagster-webserver", "dagster-daemon", "ml-assets-mlflow"):
            self.await_available(name)

    def uninstall(self) -> None:
        for name in ("dagster", "ml-assets"):
            self.helm.uninstall(name)

    def await_available(self, name: str) -> None:
        def available() -> bool:
            found = self.apps.read_namespaced_deployment_status(name, self.namespace)
            wanted = found.spec.replicas
            return (
                found.status.observed_generation == found.metadata.generation
                and (found.status.updated_replicas or 0) == wanted
                and (found.status.available_replicas or 0) == wanted
            )

        await_true(available, f"Deployment {name} is available", PATIENCE)

    def graphql(self, query: str, **variables: Any) -> Any:
        """The data that the webserver answers, asked through the API server."""
        answer = self.api.call_api(
            f"/api/v1/namespaces/{self.namespace}/services/{WEBSERVER}/proxy/graphql",
            "POST",
            header_params={"Content-Type": "application/json"},
            body={"query": query, "variables": variables},
            auth_settings=["BearerToken"],
            _preload_content=False,
            _return_http_data_only=True,
            _request_timeout=60,
        )
        found = json.loads(answer.data)
        assert "errors" not in found, found
        return found["data"]

    def launch(self, job: str, **ops: Any) -> None:
        """Run a job in a run pod, and wait for its good end."""
        selector = {
            "repositoryLocationName": LOCATION,
            "repositoryName": "__repository__",
            "pipelineName": job,
        }
        options = {"ops": {name: {"config": value} for name, value in ops.items()}}
        given = {"selector": selector, "runConfigData": options, "mode": "default"}
        found = self.graphql(LAUNCH, given=given)["launchRun"]
        assert found["__typename"] == "LaunchRunSuccess", found
        run_id = found["run"]["runId"]
        assert self.await_end(job, run_id) == "SUCCESS", self.logs_of_run(run_id)

    def await_end(self, job: str, run_id: str) -> str:
        def status() -> str | None:
            for run in self.graphql(RUNS, job=job)["runsOrError"]["results"]:
                if run["runId"] == run_id and run["status"] in FINISHED:
                    return str(run["status"])
            return None

        return str(await_true(status, f"run {run_id} has ended", PATIENCE))

    def logs_of_run(self, run_id: str) -> str:
        selector = f"job-name=dagster-run-{run_id}"
        pods = self.core.list_namespaced_pod(self.namespace, label_selector=selector)
        return "\n".join(self.log(pod.metadata.name)[-4000:] for pod in pods.items)

    def log(self, pod: str) -> str:
        # As text the client gives what Python prints for bytes.
        answer = self.core.read_namespaced_pod_log(
            pod, self.namespace, _preload_content=False
        )
        return str(answer.data.decode(errors="replace"))

    def start(self, name: str, image: str, script: str, *arguments: str) -> None:
        """A pod that runs a script of this directory, as a client and a deployer."""
        self.core.create_namespaced_config_map(
            self.namespace,
            {
                "metadata": {"name": name},
                "data": {"script.py": (HERE / script).read_text()},
            },
        )
        self.core.create_namespaced_pod(
            self.namespace, _pod(name, image, list(arguments))
        )

    def await_phase(self, pod: str, *phases: str) -> str:
        def phase() -> str | None:
            found = self.core.read_namespaced_pod_status(pod, self.namespace)
            return found.status.phase if found.status.phase in phases else None

        return str(await_true(phase, f"pod {pod} is {phases}", PATIENCE))

    def stop(self, name: str) -> None:
        self.core.delete_namespaced_pod(name, self.namespace, grace_period_seconds=0)
        self.core.delete_namespaced_config_map(name, self.namespace)

    def load(self, pod: str) -> Object:
        """The last line that the pod of load.py printed."""
        lines = self.log(pod).splitlines()
        found: Object = json.loads(lines[-1]) if lines else {}
        return found


def image(kind: str) -> Object:
    """Repository and tag of an image, from the environment or the values."""
    variable = {"server": "ML_ASSETS_E2E_SERVER_IMAGE", "base": "ML_ASSETS_E2E_IMAGE"}
    text = os.environ.get(variable[kind])
    if text:
        repository, _, tag = text.rpartition(":")
        return {"repository": repository, "tag": tag}
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    version = yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"]
    target = {"server": "production", "base": "base"}[kind]
    repository = values["images"][kind]["repository"]
    return {"repository": repository, "tag": f"v{version}-{target}"}


def reference(kind: str) -> str:
    return "{repository}:{tag}".format(**image(kind))


def ml_assets_values() -> Object:
    values = yaml.safe_load((CHART / "values-local.yaml").read_text())
    ours = {
        "images": {"server": image("server"), "base": image("base")},
        "models": {"breast_cancer": {"replicas": 2}},
        "modelServer": {"progressDeadlineSeconds": 120},
    }
    # Without a null the other models of values.yaml would stay.
    unwanted = {"models": {"census_income": None, "telco_churn": None}}
    return merge(merge(values, ours), unwanted)


def dagster_values() -> Object:
    folder = ROOT / "helm" / "dagster"
    values = merge(
        yaml.safe_load((folder / "values.yaml").read_text()),
        yaml.safe_load((folder / "values-local.yaml").read_text()),
    )
    ours = {**image("base"), "pullPolicy": "IfNotPresent"}
    for part in ("dagsterWebserver", "dagsterDaemon"):
        values[part]["image"] = ours
    for deployment in values["dagster-user-deployments"]["deployments"]:
        deployment["image"] = ours
    return dict(values)


def _pod(name: str, image: str, arguments: list[str]) -> Object:
    environment = yaml.safe_load((ROOT / "helm/dagster/values.yaml").read_text())
    mounts = [
        {"name": "script", "mountPath": "/etc/e2e", "readOnly": True},
        {"name": "storage", "mountPath": "/var/lib/ml-assets"},
        {"name": "scratch", "mountPath": "/tmp"},
    ]
    return {
        "metadata": {"name": name, "labels": {"ml-assets.dev/client": "true"}},
        "spec": {
            "restartPolicy": "Never",
            "serviceAccountName": "ml-assets-runs",
            "automountServiceAccountToken": True,
            "securityContext": {**RESTRICTED, "runAsUser": USER, "fsGroup": USER},
            "containers": [
                {
                    "name": "script",
                    "image": image,
                    "imagePullPolicy": "IfNotPresent",
                    "args": ["python", "-u", "/etc/e2e/script.py", *arguments],
                    "env": environment["x-shared"]["environment"],
                    "securityContext": {**CONTAINER, "readOnlyRootFilesystem": True},
                    "volumeMounts": mounts,
                }
            ],
            "volumes": [
                {"name": "script", "configMap": {"name": name}},
                {
                    "name": "storage",
                    "persistentVolumeClaim": {"claimName": "ml-assets-storage"},
                },
                {"name": "scratch", "emptyDir": {}},
            ],
        },
    }


def _postgres() -> list[Object]:
    """A database for Dagster that Pod Security "restricted" admits."""
    labels = {"app": "postgresql"}
    image = os.environ.get("ML_ASSETS_E2E_POSTGRES", "docker.io/library/postgres:16")
    container = {
        "name": "postgresql",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "env": [
            {"name": "POSTGRES_USER", "value": "dagster"},
            {"name": "POSTGRES_DB", "value": "dagster"},
            {"name": "POSTGRES_PASSWORD", "value": PASSWORD},
            {"name": "PGDATA", "value": "/var/lib/postgresql/data/pgdata"},
        ],
        "ports": [{"containerPort": 5432}],
        "readinessProbe": {
            "exec": {"command": ["pg_isready", "-h", "127.0.0.1", "-U", "dagster"]},
            "periodSeconds": 2,
        },
        "securityContext": CONTAINER,
        "volumeMounts": [
            {"name": "data", "mountPath": "/var/lib/postgresql/data"},
            {"name": "run", "mountPath": "/var/run/postgresql"},
        ],
    }
    pod = {
        "metadata": {"labels": labels},
        "spec": {
            "automountServiceAccountToken": False,
            "securityContext": {**RESTRICTED, "runAsUser": 999, "fsGroup": 999},
            "containers": [container],
            "volumes": [
                {"name": "data", "emptyDir": {}},
                {"name": "run", "emptyDir": {}},
            ],
        },
    }
    meta = {"name": "postgresql", "labels": labels}
    return [
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": meta,
            "spec": {
                "replicas": 1,
                "selector": {"matchLabels": labels},
                "template": pod,
            },
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": meta,
            "spec": {"selector": labels, "ports": [{"port": 5432}]},
        },
    ]
