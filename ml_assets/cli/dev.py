"""``ml-assets dev``: Dagster's UI and the model server, until Ctrl-C."""

import click

from ml_assets.cli.output import EXIT_CODES

PORT = click.IntRange(1, 65535)


@click.command("dev", epilog=EXIT_CODES)
@click.option(
    "--ui-port", type=PORT, default=3000, show_default=True, help="Dagster's UI."
)
@click.option("--port", type=PORT, default=8080, show_default=True, help="Predictions.")
@click.option(
    "--metrics-port",
    type=PORT,
    default=8000,
    show_default=True,
    help="Prometheus metrics.",
)
def command(ui_port: int, port: int, metrics_port: int) -> None:
    """Run Dagster's UI and daemon and the model server, until Ctrl-C.

    The instance is DAGSTER_HOME, by default ML_ASSETS_HOME/dagster; the project's
    dagster.yaml is copied there. Ends with 1 if one of the processes ends by itself.

    \b
    Examples:
      ml-assets dev
      ml-assets dev --ui-port 3001 --port 8081 --metrics-port 8001
    """
    from ml_assets.dev import Ports, run

    run(Ports(ui_port, port, metrics_port))
