"""``ml-assets exporter``: what Dagster and the models do, for Prometheus."""

import logging

import click

from ml_assets.cli.instance import dagster_home, prepare
from ml_assets.cli.output import EXIT_CODES, Failed
from ml_assets.core.logs import configure


@click.command("exporter", epilog=EXIT_CODES)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8000,
    show_default=True,
    help="Port of /metrics; 0 takes a free one and logs it.",
)
@click.option(
    "--interval",
    type=click.FloatRange(min=0.1),
    default=5.0,
    show_default=True,
    help="Seconds between two polls.",
)
@click.option(
    "--series",
    type=click.IntRange(min=1),
    default=100_000,
    show_default=True,
    help="Most series of one counter or histogram; further ones are counted as other.",
)
@click.option(
    "--verify-interval",
    type=click.FloatRange(min=1.0),
    default=600.0,
    show_default=True,
    help="Seconds within which each ledger is verified as a whole.",
)
def command(
    host: str, port: int, interval: float, series: int, verify_interval: float
) -> None:
    """Export metrics of the Dagster instance and the models, until SIGTERM.

    It reads DAGSTER_HOME, the database of the state and ML_ASSETS_STORAGE. Its metrics
    are listed in docs/observability.md. Where OTEL_EXPORTER_OTLP_ENDPOINT is set, runs
    that ended are sent there as traces, and the instance keeps the last that was sent.

    \b
    Examples:
      ml-assets exporter
      ml-assets exporter --host 0.0.0.0 --port 8000
      curl localhost:8000/metrics
    """
    try:
        prepare(dagster_home())
    except OSError as error:
        raise Failed(
            f"DAGSTER_HOME {dagster_home()} cannot be used: {error}"
        ) from error
    configure("ml-assets.exporter", {"ml_assets.exporter": logging.INFO})
    from ml_assets.observability.exporter.exporter import Exporter, serve

    exporter = Exporter(dagster_home(), interval, series, verify_interval)
    try:
        serve(exporter, host, port)
    except OSError as error:
        raise Failed(
            f"cannot listen on {host}:{port}: {error.strerror}; stop what uses the"
            " port, or choose another"
        ) from error
