"""The processes of the demonstration: a model server and a Dagster daemon."""

import json
import time
from pathlib import Path
from typing import NamedTuple

from ml_assets.cli.client import ServerClient
from ml_assets.cli.processes import Children, cli, script
from ml_assets.cli.workspace import workspace_arguments
from ml_assets.observability.dagster_logs import json_environment

SERVER_SECONDS = 60.0


class Ports(NamedTuple):
    """Where the model server listens."""

    predictions: int
    metrics: int

    @property
    def url(self) -> str:
        """Address of the server."""
        return f"http://127.0.0.1:{self.predictions}"


def start_server(children: Children, place: Path) -> Path:
    """Start a model server on free ports; its log, which names them."""
    log = place / "logs" / "server.log"
    command = cli("serve", "--port", "0", "--metrics-port", "0")
    # What is logged is looked at within the minute.
    command += ["--segment-seconds", "0.5"]
    children.start("model server", command, log)
    return log


def start_daemon(children: Children, place: Path) -> None:
    """Start the Dagster daemon, which runs sensors and launches runs."""
    command = [script("dagster-daemon"), "run", *workspace_arguments()]
    log = place / "logs" / "daemon.log"
    children.start("Dagster daemon", command, log, json_environment())


def await_server(children: Children, log: Path) -> tuple[Ports, float]:
    """The ports of the server once it answers, and the seconds that it took."""
    started = time.monotonic()
    ports = children.wait_for(
        lambda: _ports(log), "the model server's first log line", SERVER_SECONDS
    )
    with ServerClient(ports.url) as client:
        children.wait_for(
            lambda: client.get("/v2/health/live").status == 200 or None,
            "an answer of the model server",
            SERVER_SECONDS,
        )
    return ports, time.monotonic() - started


def _ports(log: Path) -> Ports | None:
    """What the server said of its ports, if it did yet."""
    for text in log.read_text("utf-8").splitlines(keepends=True):
        if text.startswith("{") and text.endswith("\n"):
            said = json.loads(text)
            if said["message"] == "server started":
                return Ports(said["server.port"], said["metrics.port"])
    return None
