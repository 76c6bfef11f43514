"""What the demonstration runs in: an empty home, a model server, a Dagster daemon."""

import fcntl
import json
import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from ml_assets.cli.activity import activity
from ml_assets.cli.client import ServerClient
from ml_assets.cli.instance import prepare, workspace_arguments
from ml_assets.cli.output import Failed, quiet_libraries
from ml_assets.cli.processes import Children, cli, script
from ml_assets.core.files import home
from ml_assets.observability.dagster_logs import json_environment

MARKER = ".ml_assets_demo"
# What of the caller's environment would lead the demonstration elsewhere.
FOREIGN = ("ML_ASSETS_", "MLFLOW_", "DAGSTER_")
SERVER_SECONDS = 60.0


@contextmanager
def empty_home() -> Iterator[Path]:
    """An empty home directory that the environment names, for one demo at a time.

    Raises
    ------
    Failed
        If another demonstration runs there, or the directory is not one of ours.
    """
    directory = home() / "demo"
    directory.parent.mkdir(parents=True, exist_ok=True)
    with (directory.parent / ".demo.lock").open("ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Failed(f"another demo is running in {directory}") from None
        _empty(directory)
        _point_environment(directory)
        yield directory


def _empty(directory: Path) -> None:
    if directory.exists() and not (directory / MARKER).exists():
        raise Failed(
            f"{directory} is not empty and was not made by the demo; move it away, or"
            " set ML_ASSETS_HOME to another directory"
        )
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    (directory / MARKER).touch()


def _point_environment(directory: Path) -> None:
    for name in list(os.environ):
        if name.startswith(FOREIGN):
            del os.environ[name]
    os.environ["ML_ASSETS_HOME"] = str(directory)
    # Two threads on shared cores make the same fit up to eight times slower.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    quiet_libraries()
    prepare(directory / "dagster")


class Ports(NamedTuple):
    """Where the model server listens."""

    predictions: int
    metrics: int

    @property
    def url(self) -> str:
        """Address of the server."""
        return f"http://127.0.0.1:{self.predictions}"


def start_server(children: Children, directory: Path) -> Path:
    """Start a model server on free ports; its log, which names them."""
    log = directory / "logs" / "server.log"
    command = cli("serve", "--port", "0", "--metrics-port", "0")
    # The next step reads what is logged.
    command += ["--segment-seconds", "0.5"]
    children.start("model server", command, log)
    return log


def start_daemon(children: Children, directory: Path) -> None:
    """Start the Dagster daemon, which runs sensors and launches runs."""
    command = [script("dagster-daemon"), "run", *workspace_arguments()]
    log = directory / "logs" / "daemon.log"
    children.start("Dagster daemon", command, log, json_environment())


def await_server(children: Children, log: Path) -> tuple[Ports, float]:
    """The ports of the server once it answers, and the seconds that it took."""
    started = time.monotonic()
    with activity("the model server starts", sys.stdout):
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
    """The ports that the server logged, if it did yet."""
    for text in log.read_text("utf-8").splitlines(keepends=True):
        if text.startswith("{") and text.endswith("\n"):
            record = json.loads(text)
            if record["message"] == "server started":
                return Ports(record["server.port"], record["metrics.port"])
    return None
