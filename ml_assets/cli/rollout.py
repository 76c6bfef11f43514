"""``ml-assets rollout``: the active plans, rolled out again."""

import click

from ml_assets.cli.console import table
from ml_assets.cli.context import chosen_target
from ml_assets.cli.output import EXIT_CODES, Failed
from ml_assets.state.plans import Plans


@click.command("rollout", epilog=EXIT_CODES)
@click.argument("models", nargs=-1, metavar="[MODEL]...")
def command(models: tuple[str, ...]) -> None:
    """Roll out the active plans of MODELs again, or of all that were deployed.

    Starts servers that are missing, and replaces those of an older image. Makes no new
    plan, and does nothing where all is as it should be.

    \b
    Examples:
      ml-assets rollout
      ml-assets rollout breast_cancer
    """
    from ml_assets.lifecycle.activation import roll_out_again
    from ml_assets.targets import RolloutError

    target = chosen_target()
    known = sorted(Plans().active())
    if unknown := {*models} - {*known}:
        raise Failed(
            f"{', '.join(sorted(unknown))} is not in service, expected one of"
            f" {', '.join(known) or 'none yet'}"
        )
    rows, failed = [], []
    for model in models or known:
        try:
            plan, servers = roll_out_again(target, model)
        except RolloutError as error:
            failed.append(f"{model}: {error}")
            continue
        rows.append([model, plan.live.version, str(plan.generation), str(servers)])
    if rows:
        table(["model", "version", "plan", "servers"], rows)
    if failed:
        raise Failed("\n".join(failed))
