"""``ml-assets dev``: Dagster's UI and the model server, until Ctrl-C."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from ml_assets.cli.output import EXIT_CODES

F = TypeVar("F", bound=Callable[..., Any])

PORT = click.IntRange(1, 65535)


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
    from ml_assets.cli.development import Ports, run

    run(Ports(ui_port, port, metrics_port))
