"""``ml-assets dev``: Dagster's UI and daemon and the model server, until Ctrl-C."""

import http.client
import os
import signal
import socket
import subprocess  # nosec B404 # for the constant PIPE; processes starts them
import sys
import threading
from collections.abc import Callable
from typing import IO, Any, NamedTuple, TypeVar

import click

from ml_assets.cli.console import Fragment, echo
from ml_assets.cli.instance import (
    dagster_home,
    dagster_instance,
    prepare,
    workspace_arguments,
)
from ml_assets.cli.output import EXIT_CODES, Failed, quiet_libraries
from ml_assets.cli.processes import Child, Children, cli, script
from ml_assets.core.logs import VARIABLE

F = TypeVar("F", bound=Callable[..., Any])

HOST = "127.0.0.1"
PORT = click.IntRange(1, 65535)
POLL_SECONDS = 0.5


class Ports(NamedTuple):
    """Where the three services listen."""

    ui: int
    predictions: int
    metrics: int


def _port(name: str, default: int, what: str) -> Callable[[F], F]:
    """The option of one port, which a variable may set, too."""
    variable = "ML_ASSETS_" + name.strip("-").replace("-", "_").upper()
    return click.option(
        name,
        type=PORT,
        default=default,
        envvar=variable,
        help=f"{what}  [env {variable}; default {default}]",
    )


@click.command("dev", epilog=EXIT_CODES)
@_port("--ui-port", 3000, "Dagster's UI.")
@_port("--port", 8080, "Predictions.")
@_port("--metrics-port", 8000, "Prometheus metrics.")
def command(ui_port: int, port: int, metrics_port: int) -> None:
    """Run Dagster's UI and daemon and the model server, until Ctrl-C.

    The instance is DAGSTER_HOME, by default ML_ASSETS_HOME/dagster; the project's
    dagster.yaml is copied there. Ends with 1 if one of the processes ends by itself.

    \b
    Examples:
      ml-assets dev
      ml-assets dev --ui-port 3001 --port 8081 --metrics-port 8001
      ML_ASSETS_UI_PORT=3001 make dev
    """
    run(Ports(ui_port, port, metrics_port))


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
        is_ready = False
        while not stopped.wait(POLL_SECONDS):
            children.require_alive()
            if not is_ready and _answers(ports):
                is_ready = True
                _print_addresses(ports)
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
    # A person reads the lines, unless the variable asks for another format.
    lines = {VARIABLE: os.environ.get(VARIABLE) or "text"}
    child = children.add(Child(name, command, subprocess.PIPE, environment=lines))
    stream = child.popen.stdout
    if stream is not None:
        prefix = (f"{name:<8}| ", colour)
        threading.Thread(target=_relay, args=(stream, prefix), daemon=True).start()


def _relay(stream: IO[bytes], prefix: Fragment) -> None:
    """Print each line of a process behind its name."""
    for line in stream:
        echo(prefix, line.decode(errors="replace").rstrip("\n"))
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


def _print_addresses(ports: Ports) -> None:
    # At once, as the lines of the processes come between two prints.
    echo(
        ("ready", "bold"),
        f"   Dagster UI   http://{HOST}:{ports.ui}\n"
        f"        predictions  http://{HOST}:{ports.predictions}/docs\n"
        f"        metrics      http://{HOST}:{ports.metrics}/metrics\n"
        "        Ctrl-C stops all of it",
    )
