"""``ml-assets unhold MODEL VERSION``: a version that may be deployed again."""

import click

from ml_assets.cli.actor import who
from ml_assets.cli.catalogue import require_known
from ml_assets.cli.output import EXIT_CODES, quiet_libraries, told
from ml_assets.cli.target import chosen_target
from ml_assets.core.storage import storage_root


@click.command("unhold", epilog=EXIT_CODES)
@click.argument("model")
@click.argument("version")
@click.option(
    "--reason", default="asked for", show_default=True, help="Why, for the ledger."
)
def command(model: str, version: str, reason: str) -> None:
    """Let VERSION of MODEL, which is on hold, be deployed again.

    \b
    Example:
      ml-assets unhold breast_cancer 20261123T020000Z --reason "under review"
    """
    quiet_libraries()
    require_known(model, storage_root())
    from ml_assets.lifecycle.holds import HoldError, unhold
    from ml_assets.state.versions import UnknownVersionError
    from ml_assets.targets import RolloutError

    with told(HoldError, RolloutError, UnknownVersionError):
        entry, warning = unhold(chosen_target(), model, version, who(), reason)
    click.echo(f"entry {entry.seq} in the ledger of {model}: {entry.kind} of {version}")
    if warning:
        click.echo(f"warning: {warning}", err=True)
