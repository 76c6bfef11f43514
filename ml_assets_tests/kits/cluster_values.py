"""What a test cluster gets: values of both charts, a pod for a script, and Postgres."""

import os

import yaml

from ml_assets_tests.kits.chart import CHART, ROOT, Object, merge

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


def pod_of_script(name: str, image: str, arguments: list[str]) -> Object:
    environment = yaml.safe_load((ROOT / "helm/dagster/values.yaml").read_text())
    mounts = [
        {"name": "script", "mountPath": "/etc/e2e", "readOnly": True},
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
                    "envFrom": [
                        {"configMapRef": {"name": "ml-assets-storage"}},
                        {"secretRef": {"name": "ml-assets-storage-credentials"}},
                    ],
                    "securityContext": {**CONTAINER, "readOnlyRootFilesystem": True},
                    "volumeMounts": mounts,
                }
            ],
            "volumes": [
                {"name": "script", "configMap": {"name": name}},
                {"name": "scratch", "emptyDir": {}},
            ],
        },
    }


def store_objects() -> list[Object]:
    """A bucket that speaks S3."""
    text = (ROOT / "helm" / "local" / "store.yaml").read_text()
    return list(yaml.safe_load_all(text))


def postgres_objects() -> list[Object]:
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
