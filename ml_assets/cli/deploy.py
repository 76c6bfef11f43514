"""``ml-assets deploy MODEL``: a version that passed its gate, in service."""

from typing import Any

import click

from ml_assets.cli.context import spec_of
from ml_assets.cli.jobs import Executed, run_job
from ml_assets.cli.output import EXIT_CODES, Failed, echo_json, json_option
from ml_assets.cli.version_status import mode_of
from ml_assets.state.plans import Plans
from ml_assets.state.versions import UnknownVersionError, Versions


@click.command("deploy", epilog=EXIT_CODES)
@click.argument("model")
@click.option(
    "--version", help="Version to deploy; by default the newest that passed its gate."
)
@click.option(
    "--accept-interface-change",
    "accept",
    is_flag=True,
    help="Also a version that refuses requests which are accepted now.",
)
@json_option
def command(model: str, version: str | None, accept: bool, as_json: bool) -> None:
    """Put a version of MODEL in service, if it passed its gate.

    Does what the gate sensor does by itself: loads the version in a process of its own,
    lets running servers prepare it, compares its answers with those at training, and
    only then swaps. A version that was in service before is left alone; the exit code
    is 1 if the version that was asked for does not serve then. One that would refuse
    requests which the version in service takes, or answer them for the other class,
    needs --accept-interface-change, once its callers know.

    \b
    Examples:
      ml-assets deploy breast_cancer
      ml-assets deploy breast_cancer --version 20261123T020000Z --json

    JSON keys: model, run_id, version, generation, runtime, servers, skipped.
    """
    spec_of(model)
    if version is not None:
        try:
            Versions().get(model, version)
        except UnknownVersionError as error:
            raise Failed(str(error)) from error
    tags = {"version": version} if version else {}
    config: dict[str, Any] = {"version": version}
    if accept:
        config["accept_interface_change"] = True
    done = run_job(model, "deploy", {"deployment": config}, tags)
    if not done.succeeded:
        raise Failed(f"run {done.run_id} failed: {'; '.join(done.report.errors)}")
    result = _result(model, done)
    if result["version"] is None or not _serves(model, version):
        raise Failed(result["skipped"] or f"version {version} does not serve")
    if as_json:
        echo_json(result)
    else:
        click.echo(
            result["skipped"]
            or f"version {result['version']} of {model} is in service,"
            f" plan {result['generation']}"
        )


def _serves(model: str, version: str | None) -> bool:
    """Whether what was asked for answers now, alone or under test."""
    plan = Plans().current(model)
    return version is None or mode_of(version, plan) is not None


def _result(model: str, done: Executed) -> dict[str, Any]:
    found = done.report.metadata.get("deployment", {})
    plan = Plans().current(model)
    return {
        "model": model,
        "run_id": done.run_id,
        "version": plan.live.version if plan else None,
        "generation": plan.generation if plan else None,
        "runtime": plan.live.runtime if plan else None,
        "servers": found.get("servers"),
        "skipped": "; ".join(done.report.skipped) or None,
    }
