"""``ml-assets experiment MODEL``: the challenger against the champion, as of now."""

import datetime as dt
import math

import click

from ml_assets.cli.console import echo, table
from ml_assets.cli.context import chosen_target, require_known, who
from ml_assets.cli.output import (
    EXIT_CODES,
    Failed,
    echo_json,
    json_option,
    quiet_libraries,
    reporting_errors,
)
from ml_assets.lifecycle.experiments import ExperimentStatus, experiment_status
from ml_assets.spec.catalogue import specs
from ml_assets.spec.operation import ServingSpec
from ml_assets.state.plans import Plans


@click.command("experiment", epilog=EXIT_CODES)
@click.argument("model")
@click.option(
    "--stop", metavar="REASON", help="Take the challenger out, for the reason given."
)
@json_option
def command(model: str, stop: str | None, as_json: bool) -> None:
    """Show the experiment of MODEL: its evidence, its guardrails and the verdict.

    Without --stop nothing changes: what the verdict leads to is done by the asset
    MODEL/experiment. The evidence is valid however often it is shown. What was not
    compacted yet is missing; the job MODEL_monitor compacts it.

    \b
    Examples:
      ml-assets experiment census_income
      ml-assets experiment census_income --json
      ml-assets experiment census_income --stop "complaints since noon"

    JSON keys: model, experiment, and, where that is not null, champion, mode, share,
    generation, started, days, verdict, sentence, labels, evidence, guardrails,
    step_requests.
    """
    require_known(model)
    spec = specs().get(model)
    serving = spec.serving if spec else ServingSpec()
    plans = Plans().history(model)
    if not plans:
        raise Failed(f"{model} was never deployed; it has no experiment")
    if stop is None:
        found = experiment_status(serving, plans, dt.datetime.now(dt.UTC))
    else:
        found = _stopped(model, serving, stop)
    if as_json:
        value = found.to_dict() if found else {"experiment": None}
        echo_json({"model": model, **value})
    elif found is None:
        click.echo(f"{model} has no challenger; {plans[-1].live.version} serves alone")
    else:
        _print(model, found)


def _stopped(model: str, serving: ServingSpec, why: str) -> ExperimentStatus:
    quiet_libraries()
    from ml_assets.lifecycle.verdict_actions import NoExperimentError, stop
    from ml_assets.targets import RolloutError

    with reporting_errors(NoExperimentError, RolloutError):
        done = stop(chosen_target(), model, serving, who(), why)
    click.echo(f"version {done.status.plan.experiment} is taken out", err=True)
    if done.warning:
        click.echo(f"warning: {done.warning}", err=True)
    return done.status


def _print(model: str, found: ExperimentStatus) -> None:
    value = found.to_dict()
    echo(
        f"{model}: {value['experiment']} against {value['champion']},"
        f" {value['mode']} for {value['days']:.1f} days",
        wraps=True,
    )
    echo(f"verdict: {value['verdict']}, {value['sentence']}", wraps=True)
    threshold = found.evidence.threshold
    rows = [
        ("challenger is better", found.evidence.log_better, threshold, ""),
        ("challenger is worse", found.evidence.log_worse, threshold, ""),
    ]
    for rail in found.guardrails:
        limit = -math.log(rail.alpha)
        rows.append((f"guardrail {rail.name}", rail.log_e, limit, rail.describe()))
    shown = [[name, f"{e:.2f}", f"{limit:.2f}", text] for name, e, limit, text in rows]
    table(["evidence", "log e-value", "decides at", "figures"], shown)
