"""``ml-assets demo``: the whole loop on bundled data, from an empty directory."""

import click

from ml_assets.cli.output import EXIT_CODES


@click.command("demo", epilog=EXIT_CODES)
def command() -> None:
    """Run the whole loop on bundled data and end with live predictions.

    Starts a model server and a Dagster daemon on free ports, trains breast_cancer, lets
    the gate sensor deploy it, and asks the server for predictions over HTTP. Everything
    is kept in ML_ASSETS_HOME/demo, which is emptied first; no process is left behind.
    Ends with 0 only if all of it really happened.

    \b
    Example:
      ml-assets demo
    """
    from ml_assets.cli.demo.loop import run

    run()
