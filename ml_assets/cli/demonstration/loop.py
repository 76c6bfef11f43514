"""The acts of the demonstration, in order."""

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ml_assets.cli.catalogue import spec_of
from ml_assets.cli.demonstration import after, churn
from ml_assets.cli.demonstration.acts import act, tell, title
from ml_assets.cli.demonstration.home import empty_place
from ml_assets.cli.demonstration.servers import (
    Ports,
    await_server,
    start_daemon,
    start_server,
)
from ml_assets.cli.follow import RunFollower, find_run
from ml_assets.cli.instance import dagster_instance
from ml_assets.cli.jobs import run_job
from ml_assets.cli.output import Failed
from ml_assets.cli.processes import Children, heed_termination
from ml_assets.cli.run_reporter import Story, gate_lines
from ml_assets.core.storage import storage_root
from ml_assets.records.plan import ServingPlan
from ml_assets.serving.models.plan_store import PlanStore
from ml_assets.state.versions import VersionStore

if TYPE_CHECKING:
    from dagster import DagsterInstance, DagsterRun

MODEL = "breast_cancer"
SENSOR_SECONDS = 180.0
DEPLOY_SECONDS = 240.0


def run() -> None:
    """Run all acts; `Failed` says which did not happen."""
    started = time.monotonic()
    heed_termination()
    with empty_place() as place, Children() as children:
        title(f"From data to live predictions: {MODEL}")
        click.echo(f"  Everything is kept in {place}, which was emptied first.")
        act(1, "A model server and a Dagster daemon start")
        server_log = start_server(children, place)
        # Its tables are made by one process; a second that made them too would fail.
        with dagster_instance():
            start_daemon(children, place)
        ports, seconds = await_server(children, server_log)
        tell("server", f"answers at {ports.url} after {seconds:.1f} s; no model yet")
        tell("daemon", "starts beside it; its sensors watch for evaluations")
        version = _train()
        children.require_alive()
        plan = _deploy(children, version)
        _predict(ports, plan)
        first = time.monotonic() - started
        title(f"\nAfter deployment: {churn.MODEL} ({first:.0f} s so far)")
        after.run(place, ports.url, children)
    _what_now(place, time.monotonic() - started)


def _train() -> str:
    act(2, "A training run: ingestion, validation, features, training, evaluation")
    done = run_job(MODEL, "train", {}, {}, sys.stdout)
    if not done.succeeded:
        raise Failed(f"the training run failed: {'; '.join(done.story.errors)}")
    version = str(done.story.metadata["model"]["version"])
    evaluation = VersionStore(storage_root()).evaluation(MODEL, version)
    if evaluation is None:
        raise Failed(f"version {version} was not evaluated")
    act(3, "The gate: may this version be deployed?")
    for text in gate_lines(evaluation["gate"]):
        tell("", text)
    if not evaluation["gate"]["passed"]:
        raise Failed(f"the gate refused it: {evaluation['gate']['reason']}")
    return version


def _deploy(children: Children, version: str) -> ServingPlan:
    act(4, "The gate sensor sees the evaluation and deploys")
    started = time.monotonic()
    with dagster_instance() as instance:
        launched = children.wait_for(
            lambda: find_run(instance, {"version": version}, f"{MODEL}_deploy"),
            f"a deployment run of the sensor {MODEL}_gate",
            SENSOR_SECONDS,
        )
        _require_sensor(launched)
        seconds = time.monotonic() - started
        short = launched.run_id[:8]
        tell("sensor", f"{MODEL}_gate launched run {short} after {seconds:.1f} s")
        _follow(children, instance, launched.run_id)
    plan = PlanStore(storage_root()).current(MODEL)
    if plan is None or plan.live.version != version:
        raise Failed(f"version {version} is not in service after its deployment run")
    from ml_assets.state.registry import CHAMPION, Registry

    record = VersionStore(storage_root()).get(MODEL, version)
    if Registry().aliases(MODEL).get(CHAMPION) != record.registry_version:
        raise Failed(f"the registry's champion of {MODEL} is not version {version}")
    tell("registry", f"champion of {MODEL} is number {record.registry_version}")
    return plan


def _require_sensor(launched: "DagsterRun") -> None:
    by = launched.tags.get("dagster/sensor_name")
    if by != f"{MODEL}_gate":
        raise Failed(f"run {launched.run_id} came from {by}, not from {MODEL}_gate")


def _follow(children: Children, instance: "DagsterInstance", run_id: str) -> None:
    story = Story(MODEL, click.echo)
    follower = RunFollower(instance, story)

    def ended() -> "DagsterRun | None":
        found = instance.get_run_by_id(run_id)
        follower.catch_up(run_id)
        return found if found is not None and found.is_finished else None

    done = children.wait_for(ended, "the end of the deployment run", DEPLOY_SECONDS)
    if not done.is_success:
        raise Failed(f"the deployment run failed: {'; '.join(story.errors)}")


def _predict(ports: Ports, plan: ServingPlan) -> None:
    from ml_assets.cli.client import ServerClient
    from ml_assets.cli.demonstration.live import ask

    act(5, "Live predictions over HTTP for rows that training never saw")
    tell("request", f"POST {ports.url}/models/{MODEL}/predict")
    spec = spec_of(MODEL)
    with ServerClient(ports.url) as client:
        live = ask(client, spec, plan)
    tell("answers", f"{'predicted':<11}{f'P({spec.positive})':<15}{'truth':<11}id")
    for item in live.shown:
        shown = f"{item.probability:.6f}"
        tell("", f"{item.label:<11}{shown:<15}{item.truth:<11}{item.id}")
    tell("all rows", f"{live.right} of {live.rows} held-out rows right")
    tell("", "each answer equals, in every digit, that of the version loaded here")
    tell("speed", f"median {live.median_ms:.2f} ms a request of one row")


def _what_now(place: Path, seconds: float) -> None:
    done = f"Done in {seconds:.0f} s; every process that was started has ended."
    click.echo("\n" + click.style(done, fg="green", bold=True))
    click.echo("  Look around in what was made here:")
    for command in (
        f"export ML_ASSETS_HOME={place}",
        f"ml-assets versions {MODEL}",
        f"ml-assets ledger {churn.MODEL}",
        "ml-assets dev  # UI http://127.0.0.1:3000, API http://127.0.0.1:8080/docs",
    ):
        click.echo(f"    {command}")
    click.echo("  Add a model of your own:")
    click.echo("    dg scaffold defs ml_assets.components.TabularClassifier my_model")
