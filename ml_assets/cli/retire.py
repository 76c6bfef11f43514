"""``ml-assets retire MODEL``: nothing serves the model any more."""

import click

from ml_assets.cli.context import chosen_target, require_known, who
from ml_assets.cli.output import EXIT_CODES, quiet_libraries, reporting_errors


@click.command("retire", epilog=EXIT_CODES)
@click.argument("model")
@click.option(
    "--reason", default="asked for", show_default=True, help="Why, for the ledger."
)
def command(model: str, reason: str) -> None:
    """Take MODEL out of service, and put the versions of its plan on hold.

    Servers answer its requests with 404, and what a deployment has made for it on a
    cluster is deleted. Its versions, predictions and ledger are kept. Nothing is
    deployed by itself any more; remove its YAML as well, or its schedule goes on to
    train. `ml-assets deploy` of a newer version brings the model back, or
    `ml-assets unhold` and `ml-assets rollback --to` a version that served.

    \b
    Example:
      ml-assets retire breast_cancer --reason "replaced by another model"
    """
    quiet_libraries()
    require_known(model)
    from ml_assets.lifecycle.retirement import RetirementError, retire
    from ml_assets.targets import RolloutError

    with reporting_errors(RetirementError, RolloutError):
        entry, outcome = retire(chosen_target(), model, who(), reason)
    click.echo(f"entry {entry.seq} in the ledger of {model}: {model} is retired")
    click.echo(outcome)
