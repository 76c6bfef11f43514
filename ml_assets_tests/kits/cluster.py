"""A namespace of a real cluster, with both charts, Postgres, and pods that ask."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import helm_python
from kubernetes import client, config, utils

from ml_assets_tests.kits.chart import CHART, Object, merge
from ml_assets_tests.kits.cluster_values import (
    PASSWORD,
    dagster_values,
    ml_assets_values,
    pod_of_script,
    postgres_objects,
    reference,
    store_objects,
)
from ml_assets_tests.kits.compose import FINISHED, LAUNCH, RUNS
from ml_assets_tests.kits.docker import docker
from ml_assets_tests.kits.processes import await_true

DAGSTER_REPOSITORY = "https://dagster-io.github.io/helm"
DAGSTER_VERSION = "1.13.27"
WEBSERVER = "dagster-dagster-webserver"
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
        self._release(self.helm.install, ml_assets_values(), dagster_values())

    def upgrade(self, ml_assets: Object, dagster: Object) -> None:
        """Both charts once more, with these values over those of the installation."""
        self._release(
            self.helm.upgrade,
            merge(ml_assets_values(), ml_assets),
            merge(dagster_values(), dagster),
        )

    def _release(
        self, act: Callable[..., object], ml_assets: Object, dagster: Object
    ) -> None:
        act(CHART, "ml-assets", ml_assets, namespace=self.namespace)
        chart = os.environ.get("ML_ASSETS_E2E_DAGSTER_CHART")
        source: dict[str, str] = (
            {}
            if chart
            else {
                "chart_repo_url": DAGSTER_REPOSITORY,
                "chart_version": DAGSTER_VERSION,
            }
        )
        act(chart or "dagster", "dagster", dagster, namespace=self.namespace, **source)
        for name in (WEBSERVER, "dagster-daemon", "ml-assets-mlflow"):
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
            f"/api/v1/namespaces/{self.namespace}/services/{WEBSERVER}:3000"
            "/proxy/graphql",
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
        self.await_success(job, self.submit(job, **ops))

    def submit(self, job: str, **ops: Any) -> str:
        """Have a job run in a run pod; returns the run's identifier."""
        selector = {
            "repositoryLocationName": LOCATION,
            "repositoryName": "__repository__",
            "pipelineName": job,
        }
        options = {"ops": {name: {"config": value} for name, value in ops.items()}}
        given = {"selector": selector, "runConfigData": options, "mode": "default"}
        found = self.graphql(LAUNCH, given=given)["launchRun"]
        assert found["__typename"] == "LaunchRunSuccess", found
        return str(found["run"]["runId"])

    def await_success(self, job: str, run_id: str) -> None:
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

    def evict(self, pod: str) -> bool:
        """Ask as a drain of the node does; False where a disruption budget refuses."""
        meta = {"name": pod, "namespace": self.namespace}
        try:
            self.core.create_namespaced_pod_eviction(
                pod, self.namespace, {"metadata": meta}
            )
        except client.ApiException as error:
            if error.status == 429:
                return False
            raise
        return True

    def pods(self, selector: str) -> set[str]:
        """Names of the pods with these labels that are not on their way out."""
        found = self.core.list_namespaced_pod(self.namespace, label_selector=selector)
        return {
            pod.metadata.name
            for pod in found.items
            if pod.metadata.deletion_timestamp is None
        }

    def await_pod(self, selector: str) -> str:
        found = await_true(
            lambda: self.pods(selector), f"a pod with {selector}", PATIENCE
        )
        return str(min(found))

    def await_gone(self, pod: str) -> None:
        def gone() -> bool:
            try:
                self.core.read_namespaced_pod(pod, self.namespace)
            except client.ApiException as error:
                if error.status != 404:
                    raise
                return True
            return False

        await_true(gone, f"pod {pod} is gone", PATIENCE)

    def run(self, name: str, script: str, *arguments: str) -> str:
        """Run a script of the end-to-end tests as the deployer; returns its log."""
        self.start(name, reference("base"), script, *arguments)
        phase, log = self.await_phase(name, "Succeeded", "Failed"), self.log(name)
        self.stop(name)
        assert phase == "Succeeded", log
        return log

    def stop(self, name: str) -> None:
        self.core.delete_namespaced_pod(name, self.namespace, grace_period_seconds=0)
        self.core.delete_namespaced_config_map(name, self.namespace)

    def load(self, pod: str) -> Object:
        """The last line that the pod of load.py printed."""
        lines = self.log(pod).splitlines()
        found: Object = json.loads(lines[-1]) if lines else {}
        return found


@contextmanager
def stopped(program: str, node: str) -> Iterator[None]:
    """Stop a program in a node of kind, a container; it goes on at the end."""

    def signal(name: str) -> None:
        # By the shell alone: an image of a node need not have pkill.
        found = "for p in /proc/[0-9]*; do read -r name < $p/comm || continue; "
        act = f'if [ "$name" = {program} ]; then kill -{name} "${{p#/proc/}}"; fi; done'
        docker("exec", node, "sh", "-c", found + act)

    signal("STOP")
    try:
        yield
    finally:
        signal("CONT")
