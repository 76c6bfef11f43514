"""Dagster's UI, its daemon and the model server together, until they are stopped."""

import http.client
import os
import signal
import socket
import subprocess  # nosec B404 # for the constant PIPE; processes starts them
import sys
import threading
from typing import IO, NamedTuple

import click

from ml_assets.cli.instance import dagster_home, dagster_instance, prepare
from ml_assets.cli.output import Failed, quiet_libraries
from ml_assets.cli.processes import Child, Children, cli, script
from ml_assets.cli.workspace import workspace_arguments
from ml_assets.core.logs import VARIABLE

HOST = "127.0.0.1"
LOOK_SECONDS = 0.5


class Ports(NamedTuple):
    """Where the three services listen."""

    ui: int
    predictions: int
    metrics: int


def run(ports: Ports) -> None:
    """Run both until SIGINT or SIGTERM; none is left afterwards.

    Raises
    ------
    Failed
        If a port is taken, or one of them ends by itself.
    """
    for port, option in zip(ports, ("ui-port", "port", "metrics-port"), strict=True):
        require_free(port, option)
    quiet_libraries()
    prepare(dagster_home(), refresh=True)
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    with Children() as children:
        _start(children, "server", "green", _server_command(ports))
        # Its tables are made by one process; a `train` that made them too would fail.
        with dagster_instance():
            _start(children, "dagster", "blue", _dagster_command(ports))
        is_told = False
        while not stopped.wait(LOOK_SECONDS):
            children.require_alive()
            if not is_told and _answers(ports):
                _tell(ports)
                is_told = True
        click.echo("stopping", err=True)


def require_free(port: int, option: str) -> None:
    """Refuse a port that another program listens on."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise Failed(
                f"port {port} of {HOST} cannot be used ({error.strerror}); stop what"
                f" uses it, or choose another with --{option}"
            ) from error


def _server_command(ports: Ports) -> list[str]:
    return cli(
        "serve",
        f"--host={HOST}",
        f"--port={ports.predictions}",
        f"--metrics-port={ports.metrics}",
    )


def _dagster_command(ports: Ports) -> list[str]:
    address = ["-h", HOST, "-p", str(ports.ui)]
    return [script("dagster"), "dev", *address, *workspace_arguments()]


def _start(children: Children, name: str, colour: str, command: list[str]) -> None:
    # A person reads along, unless it is said that a program does.
    lines = {VARIABLE: os.environ.get(VARIABLE) or "text"}
    child = children.add(Child(name, command, subprocess.PIPE, environment=lines))
    stream = child.popen.stdout
    if stream is not None:
        prefix = click.style(f"{name:<8}| ", fg=colour)
        threading.Thread(target=_relay, args=(stream, prefix), daemon=True).start()


def _relay(stream: IO[bytes], prefix: str) -> None:
    """Print each line of a process behind its name."""
    for line in stream:
        click.echo(prefix + line.decode(errors="replace").rstrip("\n"))
        sys.stdout.flush()


def _answers(ports: Ports) -> bool:
    """Whether the UI and the model server answer."""
    paths = ((ports.ui, "/server_info"), (ports.predictions, "/v2/health/live"))
    return all(_is_ok(port, path) for port, path in paths)


def _is_ok(port: int, path: str) -> bool:
    connection = http.client.HTTPConnection(HOST, port, timeout=2)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _tell(ports: Ports) -> None:
    click.echo(
        click.style("ready", bold=True)
        + f"   Dagster UI   http://{HOST}:{ports.ui}\n"
        + f"        predictions  http://{HOST}:{ports.predictions}/docs\n"
        + f"        metrics      http://{HOST}:{ports.metrics}/metrics\n"
        + "        Ctrl-C stops all of it"
    )
