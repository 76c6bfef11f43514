"""``ml-assets reproduce MODEL VERSION``: train again, compare the answers."""

import sys

import click

from ml_assets.cli.context import require_known
from ml_assets.cli.output import (
    echo_json,
    json_option,
    quiet_libraries,
    reporting_errors,
)


@click.command(
    "reproduce",
    epilog="Exit codes: 0 the same answers, 1 others or not possible, 2 wrong usage.",
)
@click.argument("model")
@click.argument("version")
@json_option
def command(model: str, version: str, as_json: bool) -> None:
    """Train VERSION of MODEL again and compare its answers bit for bit.

    Uses the recorded data and configuration, verified by their hashes, and the code and
    environment of today; where those are not the recorded ones, it says so. Nothing is
    registered or deployed.

    \b
    Example:
      ml-assets reproduce breast_cancer 20261123T020000Z

    JSON keys: model, version, identical, probe_rows, probe_differing, held_out_rows,
    held_out_differing, largest_difference, notes.
    """
    quiet_libraries()
    require_known(model)
    from ml_assets.lifecycle.reproduce import ReproduceError, reproduce
    from ml_assets.state.versions import UnknownVersionError

    with reporting_errors(ReproduceError, UnknownVersionError):
        found = reproduce(model, version)
    if as_json:
        echo_json(found._asdict())
    else:
        for note in found.notes:
            click.echo(f"note: {note}", err=True)
        if found.identical:
            click.echo(
                f"version {version} of {model} was reproduced: {found.probe_rows} probe"
                f" rows and {found.held_out_rows} held-out rows have the same answers,"
                " bit for bit"
            )
        else:
            click.echo(
                f"version {version} of {model} was not reproduced:"
                f" {found.probe_differing} of {found.probe_rows} probe rows and"
                f" {found.held_out_differing} of {found.held_out_rows} held-out rows"
                f" are answered otherwise, by at most {found.largest_difference:g}"
            )
    sys.exit(0 if found.identical else 1)
