"""A namespace of a real cluster, with both charts, Postgres, and pods that ask."""

import json
import os
from pathlib import Path
from typing import Any

import helm_python
from kubernetes import client, config, utils

from ml_assets_tests.kits.chart import CHART, Object
from ml_assets_tests.kits.cluster_values import (
    PASSWORD,
    dagster_values,
    ml_assets_values,
    pod_of_script,
    postgres_objects,
    store_objects,
)
from ml_assets_tests.kits.compose import FINISHED, LAUNCH, RUNS
from ml_assets_tests.kits.processes import await_true

DAGSTER_REPOSITORY = "https://dagster-io.github.io/helm"
DAGSTER_VERSION = "1.13.27"
WEBSERVER = "dagster-dagster-webserver:3000"
LOCATION = "ml-assets"
SCRIPTS = Path(__file__).parents[1] / "e2e"
PATIENCE = 900.0


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
            "ml-assets-database": {
                "url": f"postgresql+psycopg2://dagster:{PASSWORD}@postgresql/dagster"
            },
            "ml-assets-storage-credentials": {
                "AWS_ACCESS_KEY_ID": "e2e",
                "AWS_SECRET_ACCESS_KEY": PASSWORD,
            },
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
        for item in [*postgres_objects(), *store_objects()]:
            utils.create_from_dict(self.api, item, namespace=self.namespace)
        self.await_available("postgresql")
        self.await_available("store")

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
        """A pod that runs a script of the end-to-end tests as client and deployer."""
        self.core.create_namespaced_config_map(
            self.namespace,
            {
                "metadata": {"name": name},
                "data": {"script.py": (SCRIPTS / script).read_text()},
            },
        )
        self.core.create_namespaced_pod(
            self.namespace, pod_of_script(name, image, list(arguments))
        )

    def await_phase(self, pod: str, *phases: str) -> str:
        def phase() -> str | None:
            found = self.core.read_namespaced_pod_status(pod, self.namespace)
            return found.status.phase if found.status.phase in phases else None

        return str(await_true(phase, f"pod {pod} is {phases}", PATIENCE))

    def stop(self, name: str) -> None:
        self.core.delete_namespacedpod_of_script(
            name, self.namespace, grace_period_seconds=0
        )
        self.core.delete_namespaced_config_map(name, self.namespace)

    def load(self, pod: str) -> Object:
        """The last line that the pod of load.py printed."""
        lines = self.log(pod).splitlines()
        found: Object = json.loads(lines[-1]) if lines else {}
        return found
