"""``ml-assets contract``: accept data of a model that moved on purpose."""

import click

from ml_assets.cli.context import require_known, who
from ml_assets.cli.output import EXIT_CODES, reporting_errors


@click.group("contract", epilog=EXIT_CODES)
def command() -> None:
    """Accept data that moved on purpose.

    \b
    Example:
      ml-assets contract accept churn --reason "the new tariff is on sale"
    """


@command.command("accept", epilog=EXIT_CODES)
@click.argument("model")
@click.option("--reason", required=True, help="Why, for the ledger.")
def accept_command(model: str, reason: str) -> None:
    """Accept what moved in the data of MODEL: the next run is checked against it.

    \b
    Example:
      ml-assets contract accept churn --reason "the new tariff is on sale"
    """
    require_known(model)
    from ml_assets.state.contracts import ContractError, accept

    with reporting_errors(ContractError):
        entry, note = accept(model, who(), reason)
    for sentence in note.moved:
        click.echo(f"accepted  {sentence}")
    click.echo(f"entry {entry.seq} in the ledger of {model}; train again with")
    click.echo(f"  ml-assets train {model}")
