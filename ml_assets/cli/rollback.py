"""``ml-assets rollback MODEL``: a version that served before, in service again."""

import click

from ml_assets.cli.context import chosen_target, require_known, who
from ml_assets.cli.output import (
    EXIT_CODES,
    echo_json,
    json_option,
    quiet_libraries,
    reporting_errors,
)


@click.command("rollback", epilog=EXIT_CODES)
@click.argument("model")
@click.option("--to", help="Version to return to; by default the one before today's.")
@click.option(
    "--reason", default="asked for", show_default=True, help="Why, for the ledger."
)
@json_option
def command(model: str, to: str | None, reason: str, as_json: bool) -> None:
    """Return MODEL to a version that served before, and hold the one that serves now.

    Needs neither Dagster nor the registry: the plan and the files in the storage are
    enough. If the registry cannot be reached, its aliases are set later. A version on
    hold is not deployed again before `ml-assets unhold`.

    \b
    Examples:
      ml-assets rollback breast_cancer --reason "complaints since noon"
      ml-assets rollback breast_cancer --to 20261123T020000Z --json

    JSON keys: model, version, left, held, generation, servers, warning.
    """
    quiet_libraries()
    require_known(model)
    from ml_assets.lifecycle.rollback import RollbackError, rollback
    from ml_assets.state.registry import RegistryError
    from ml_assets.state.versions import UnknownVersionError
    from ml_assets.targets import RolloutError

    with reporting_errors(
        RegistryError, RollbackError, RolloutError, UnknownVersionError
    ):
        done = rollback(chosen_target(), model, who(), reason, to)
    plan = done.rollout.plan
    if as_json:
        echo_json(
            {
                "model": model,
                "version": plan.live.version,
                "left": done.left,
                "held": done.is_on_hold,
                "generation": plan.generation,
                "servers": done.rollout.servers,
                "warning": done.warning or None,
            }
        )
        return
    click.echo(
        f"version {plan.live.version} of {model} is in service, plan {plan.generation}"
    )
    if done.is_on_hold:
        click.echo(f"version {done.left} is on hold")
    if done.warning:
        click.echo(f"warning: {done.warning}", err=True)
