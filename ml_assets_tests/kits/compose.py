"""The platform of compose.yaml on this machine's engine, and its GraphQL API."""

import json
import os
import shutil
import subprocess
import urllib.request
from pathlib import Path
from typing import Any

from ml_assets_tests.kits.docker import ROOT, build, docker
from ml_assets_tests.kits.processes import await_true

STANDINS = Path(__file__).parent / "standins"
TAGS = {
    "ML_ASSETS_IMAGE": "base",
    "ML_ASSETS_SERVER_IMAGE": "production",
    "ML_ASSETS_EXPORTER_IMAGE": "observability",
}
PORTS = ("WEBSERVER_PORT", "MODEL_PORT", "MLFLOW_PORT", "PROMETHEUS_PORT")
FINISHED = ("SUCCESS", "FAILURE", "CANCELED")
LAUNCH = """
mutation($given: ExecutionParams!) {
  launchRun(executionParams: $given) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on PythonError { message }
  }
}
"""
RUNS = """
query($job: String!) {
  runsOrError(filter: {pipelineName: $job}) {
    ... on Runs { results { runId status tags { key value } } }
  }
}
"""


def compose_command() -> list[str]:
    """The Compose that is installed, of either generation; empty if there is none."""
    for command in (
        [os.environ.get("DOCKER", "docker"), "compose"],
        ["docker-compose"],
    ):
        if shutil.which(command[0]) is None:
            continue
        done = subprocess.run([*command, "version"], capture_output=True, check=False)
        if done.returncode == 0:
            return command
    return []


class Platform:
    """One project of compose.yaml, with settings and ports of its own.

    `home` gets the settings file.
    """

    def __init__(self, name: str, home: Path, services: list[str]) -> None:
        self.name = name
        self.services = services
        images = {variable: f"{name}:{target}" for variable, target in TAGS.items()}
        for variable, target in TAGS.items():
            build(target, images[variable])
        for target in ("postgres", "prometheus"):
            image = images[f"{target.upper()}_IMAGE"] = f"{name}:{target}"
            _build_standin(target, image)
        self.images = images
        secrets = {
            variable: f"not-a-secret-{variable.lower().replace('_', '-')}"
            for variable in ("MLFLOW_PASSWORD", "MLFLOW_SECRET_KEY", "GRAFANA_PASSWORD")
        }
        settings = {
            "COMPOSE_PROJECT_NAME": name,
            "POSTGRES_PASSWORD": "nosecret",
            "DOCKER_GID": str(os.stat("/var/run/docker.sock").st_gid),
            **secrets,
            **images,
            # The engine picks free ones.
            **dict.fromkeys(PORTS, "0"),
        }
        self._settings = home / "settings.env"
        lines = [f"{key}={value}\n" for key, value in settings.items()]
        self._settings.write_text("".join(lines))

    def compose(self, *arguments: str) -> str:
        """Run Compose; what it printed."""
        command = [
            *compose_command(),
            *("--project-name", self.name, "--env-file", str(self._settings)),
            *("--file", str(ROOT / "compose.yaml")),
            *("--project-directory", str(ROOT)),
            *arguments,
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        output = done.stdout + done.stderr
        assert done.returncode == 0, f"{' '.join(command)}: {done.returncode}\n{output}"
        return output

    def start(self) -> None:
        """Start the services and wait until the webserver answers."""
        self.compose("up", "--detach", "--no-build", *self.services)
        await_true(lambda: self.health("webserver") == "healthy", "the UI is healthy")

    def remove(self) -> None:
        """Leave nothing behind."""
        self.compose("down", "--remove-orphans", "--volumes")
        docker("rmi", "--force", *self.images.values(), check=False)

    def health(self, service: str) -> str:
        """State of the health check of a service's container."""
        (id_,) = self.containers(f"com.docker.compose.service={service}")
        return docker("inspect", "--format", "{{.State.Health.Status}}", id_)

    def containers(self, *labels: str) -> list[str]:
        """Ids of the project's containers with these labels, running or not."""
        wanted = [f"com.docker.compose.project={self.name}", *labels]
        filters = [f"--filter=label={label}" for label in wanted]
        return docker("ps", "--all", "--quiet", "--no-trunc", *filters).split()

    def port(self, service: str, inside: int) -> int:
        """Where a port of a service answers on this machine."""
        (id_,) = self.containers(f"com.docker.compose.service={service}")
        shown = docker("port", id_, f"{inside}/tcp").splitlines()[0]
        return int(shown.rpartition(":")[2])

    def ask(self, query: str, **variables: Any) -> Any:
        """The data that GraphQL answers."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port('webserver', 3000)}/graphql",
            json.dumps({"query": query, "variables": variables}).encode(),
            {"content-type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            found = json.load(answer)
        assert "errors" not in found, found
        return found["data"]

    def launch(self, job: str, **config: Any) -> str:
        """Start a run of a job with `config` of its ops; its id."""
        selector = {
            "repositoryLocationName": "ml_assets",
            "repositoryName": "__repository__",
            "pipelineName": job,
        }
        options = {"ops": {op: {"config": value} for op, value in config.items()}}
        given = {"selector": selector, "runConfigData": options, "mode": "default"}
        found = self.ask(LAUNCH, given=given)["launchRun"]
        assert found["__typename"] == "LaunchRunSuccess", found
        run_id: str = found["run"]["runId"]
        return run_id

    def runs(self, job: str) -> list[dict[str, Any]]:
        """Runs of a job, newest first, with their tags as a mapping."""
        found = self.ask(RUNS, job=job)["runsOrError"]["results"]
        return [
            {**run, "tags": {tag["key"]: tag["value"] for tag in run["tags"]}}
            for run in found
        ]

    def execute(self, service: str, code: str, *arguments: str) -> None:
        """Run Python code in the container of a service."""
        (id_,) = self.containers(f"com.docker.compose.service={service}")
        docker("exec", id_, "python", "-c", code, *arguments, timeout=600)

    def ledger(self, model: str) -> list[dict[str, Any]]:
        """The entries of a model, oldest first."""
        (id_,) = self.containers("com.docker.compose.service=daemon")
        text = docker("exec", id_, "ml-assets", "ledger", model, "--export")
        return [json.loads(line) for line in text.splitlines()]


def _build_standin(target: str, tag: str) -> None:
    image = os.environ.get("PYTHON_IMAGE")
    arguments = ["--build-arg", f"PYTHON_IMAGE={image}"] if image else []
    docker(
        "build",
        "--target",
        target,
        "--tag",
        tag,
        *arguments,
        str(STANDINS),
        timeout=900,
    )
