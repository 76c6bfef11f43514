"""``ml-assets train MODEL``: a new version, put to its gate."""

import time
from typing import Any

import click
import yaml
from pydantic import ValidationError

from ml_assets.cli.activity import activity
from ml_assets.cli.console import item
from ml_assets.cli.context import spec_of
from ml_assets.cli.jobs import Executed, run_job
from ml_assets.cli.output import EXIT_CODES, Failed, echo_json, json_option
from ml_assets.cli.run_report import gate_lines
from ml_assets.cli.version_status import mode_of
from ml_assets.records.plan import ServingPlan
from ml_assets.spec.source import SourceSpec
from ml_assets.state.plans import Plans
from ml_assets.state.versions import Versions

POLL_SECONDS = 0.25


def _source(
    context: click.Context, parameter: click.Parameter, text: str | None
) -> dict[str, Any] | None:
    """The value of ``--source``, checked before anything runs."""
    if text is None:
        return None
    try:
        value = yaml.safe_load(text)
        SourceSpec.model_validate(value)
    except yaml.YAMLError as error:
        raise click.BadParameter(f"it is neither YAML nor JSON: {error}") from error
    except ValidationError as error:
        found = error.errors(include_input=False, include_url=False)
        message = "; ".join(
            f"{'.'.join(map(str, item['loc']))}: {item['msg']}".removeprefix(": ")
            for item in found
        )
        raise click.BadParameter(message) from error
    source: dict[str, Any] = value
    return source


@click.command("train", epilog=EXIT_CODES)
@click.argument("model")
@click.option(
    "--force", is_flag=True, help="Train even if data, code and YAML are unchanged."
)
@click.option(
    "--source",
    callback=_source,
    help="Another data source for this run: YAML or JSON with the keys of the YAML.",
)
@click.option(
    "--wait",
    is_flag=True,
    help="Wait until the gate sensor of a running daemon put the version in service.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(min=0),
    default=300,
    show_default=True,
    help="Seconds that --wait waits.",
)
@json_option
def command(
    model: str,
    force: bool,
    source: dict[str, Any] | None,
    wait: bool,
    timeout: float,
    as_json: bool,
) -> None:
    """Train a version of MODEL in this process and put it to its gate.

    The run is recorded in the Dagster instance (DAGSTER_HOME), so that the UI shows
    it and the gate sensor deploys a version that passes. A version that is refused by
    the gate is a result: the exit code is 0.

    \b
    Examples:
      ml-assets train breast_cancer
      ml-assets train breast_cancer --force --wait
      ml-assets train churn --source '{type: csv, path: data/june.csv}'

    JSON keys: model, run_id, version, skipped, metrics, gate (passed, reason, clauses),
    in_service (null without --wait).
    """
    spec_of(model)
    config = {"raw": {"source": source} if source else {}, "model": {"force": force}}
    done = run_job(model, "train", config, {})
    if not done.succeeded:
        raise Failed(f"run {done.run_id} failed: {'; '.join(done.report.errors)}")
    result = _result(model, done)
    if as_json and not wait:
        echo_json(result)
        return
    if not as_json:
        _print(result)
    if wait:
        _wait(result, timeout)
        if as_json:
            echo_json(result)


def _result(model: str, done: Executed) -> dict[str, Any]:
    version = done.report.metadata.get("model", {}).get("version")
    found = Versions().evaluation(model, version) if version else None
    return {
        "model": model,
        "run_id": done.run_id,
        "version": version,
        "skipped": "; ".join(done.report.skipped) or None,
        "metrics": found["metrics"] if found else None,
        "gate": found["gate"] if found else None,
        "in_service": None,
    }


def _print(result: dict[str, Any]) -> None:
    gate = result["gate"]
    if gate is None:
        click.echo(result["skipped"] or "no version was trained")
        return
    click.echo(f"version {result['version']} of {result['model']}")
    for line in gate_lines(gate):
        item("", *line, width=0, indent=1)


def _wait(result: dict[str, Any], timeout: float) -> None:
    gate = result["gate"]
    if gate is None:
        raise Failed(f"there is nothing to wait for: {result['skipped']}")
    if not gate["passed"]:
        raise Failed(f"version {result['version']} is not deployed: {gate['reason']}")
    version = result["version"]
    result["in_service"] = False
    if gate.get("repeats"):
        click.echo(f"version {version} is the champion again", err=True)
        return
    with activity(f"waiting for version {version} to be in service"):
        plan = _await_service(result["model"], version, timeout)
    result["in_service"] = True
    mode = mode_of(version, plan)
    role = "" if mode == "live" else f" as {mode}, beside {plan.live.version}"
    click.echo(f"version {version} is in service{role}", err=True)


def _await_service(model: str, version: str, timeout: float) -> ServingPlan:
    """Wait for a plan of `model` in which `version` serves, alone or under test."""
    store = Plans()
    deadline = time.monotonic() + timeout
    while True:
        plan = store.current(model)
        if plan is not None and mode_of(version, plan):
            return plan
        if time.monotonic() > deadline:
            raise Failed(
                f"version {version} of {model} is not in service after {timeout:g} s;"
                " is a Dagster daemon running (`ml-assets dev`), and the sensor"
                f" {model}_gate on? `ml-assets deploy {model}` deploys without them"
            )
        time.sleep(POLL_SECONDS)
