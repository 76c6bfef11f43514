"""``ml-assets hold`` and ``unhold``: whether a version may be deployed."""

import click

from ml_assets.cli.context import chosen_target, require_known, who
from ml_assets.cli.output import EXIT_CODES, quiet_libraries, reporting_errors

reason_option = click.option(
    "--reason", default="asked for", show_default=True, help="Why, for the ledger."
)


@click.command("hold", epilog=EXIT_CODES)
@click.argument("model")
@click.argument("version")
@reason_option
def hold_command(model: str, version: str, reason: str) -> None:
    """Keep VERSION of MODEL from being deployed and from being removed.

    \b
    Example:
      ml-assets hold breast_cancer 20261123T020000Z --reason "under review"
    """
    _record("hold", model, version, reason)


@click.command("unhold", epilog=EXIT_CODES)
@click.argument("model")
@click.argument("version")
@reason_option
def unhold_command(model: str, version: str, reason: str) -> None:
    """Let VERSION of MODEL, which is on hold, be deployed again.

    \b
    Example:
      ml-assets unhold breast_cancer 20261123T020000Z --reason "reviewed"
    """
    _record("unhold", model, version, reason)


def _record(action: str, model: str, version: str, reason: str) -> None:
    quiet_libraries()
    require_known(model)
    from ml_assets.lifecycle import holds
    from ml_assets.state.versions import UnknownVersionError
    from ml_assets.targets import RolloutError

    change = holds.hold if action == "hold" else holds.unhold
    with reporting_errors(holds.HoldError, RolloutError, UnknownVersionError):
        entry, warning = change(chosen_target(), model, version, who(), reason)
    click.echo(f"entry {entry.seq} in the ledger of {model}: {entry.kind} of {version}")
    if warning:
        click.echo(f"warning: {warning}", err=True)
