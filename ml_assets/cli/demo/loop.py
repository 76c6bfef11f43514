"""The steps of the demonstration, in order."""

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from ml_assets.cli.activity import activity
from ml_assets.cli.console import echo
from ml_assets.cli.context import spec_of
from ml_assets.cli.demo import after, churn
from ml_assets.cli.demo.environment import (
    Ports,
    await_server,
    empty_home,
    start_daemon,
    start_server,
)
from ml_assets.cli.demo.steps import line, step, title
from ml_assets.cli.instance import dagster_instance
from ml_assets.cli.jobs import RunFollower, find_run, run_job
from ml_assets.cli.output import Failed
from ml_assets.cli.processes import Children, heed_termination
from ml_assets.cli.run_report import RunReport, gate_lines
from ml_assets.records.plan import ServingPlan
from ml_assets.state.plans import Plans
from ml_assets.state.versions import Versions

if TYPE_CHECKING:
    from dagster import DagsterInstance, DagsterRun

MODEL = "breast_cancer"
SENSOR_SECONDS = 180.0
DEPLOY_SECONDS = 240.0


def run() -> None:
    """Run all steps; `Failed` names what did not happen."""
    started = time.monotonic()
    heed_termination()
    with empty_home() as directory, Children() as children:
        title(f"From data to live predictions: {MODEL}")
        echo(f"  Everything is kept in {directory}, which was emptied first.")
        step(1, "A model server and a Dagster daemon start")
        server_log = start_server(children, directory)
        # Its tables are made by one process; a second that made them too would fail.
        with dagster_instance():
            start_daemon(children, directory)
        ports, seconds = await_server(children, server_log)
        line("server", f"answers at {ports.url} after {seconds:.1f} s; no model yet")
        line("daemon", "starts beside it; its sensors watch for evaluations")
        version = _train()
        children.require_alive()
        plan = _deploy(children, version)
        _predict(ports, plan)
        first = time.monotonic() - started
        title(f"\nAfter deployment: {churn.MODEL} ({first:.0f} s so far)")
        after.run(directory, ports.url, children)
    _what_now(directory, time.monotonic() - started)


def _train() -> str:
    step(2, "A training run: ingestion, validation, features, training, evaluation")
    done = run_job(MODEL, "train", {}, {}, sys.stdout)
    if not done.succeeded:
        raise Failed(f"the training run failed: {'; '.join(done.report.errors)}")
    version = str(done.report.metadata["model"]["version"])
    evaluation = Versions().evaluation(MODEL, version)
    if evaluation is None:
        raise Failed(f"version {version} was not evaluated")
    step(3, "The gate: may this version be deployed?")
    for clause in gate_lines(evaluation["gate"]):
        line("", *clause)
    if not evaluation["gate"]["passed"]:
        raise Failed(f"the gate refused it: {evaluation['gate']['reason']}")
    return version


def _deploy(children: Children, version: str) -> ServingPlan:
    step(4, "The gate sensor sees the evaluation and deploys")
    started = time.monotonic()
    with dagster_instance() as instance:
        with activity("waiting for the sensor gate", sys.stdout):
            launched = children.wait_for(
                lambda: find_run(instance, {"version": version}, f"{MODEL}_deploy"),
                f"a deployment run of {MODEL} by the sensor gate",
                SENSOR_SECONDS,
            )
        _require_sensor(launched)
        seconds = time.monotonic() - started
        short = launched.run_id[:8]
        line("sensor", f"gate launched run {short} after {seconds:.1f} s")
        _follow(children, instance, launched.run_id)
    plan = Plans().current(MODEL)
    if plan is None or plan.live.version != version:
        raise Failed(f"version {version} is not in service after its deployment run")
    from ml_assets.state.registry import CHAMPION, Registry

    record = Versions().get(MODEL, version)
    if Registry().aliases(MODEL).get(CHAMPION) != record.registry_version:
        raise Failed(f"the registry's champion of {MODEL} is not version {version}")
    line("registry", f"champion of {MODEL} is number {record.registry_version}")
    return plan


def _require_sensor(launched: "DagsterRun") -> None:
    by = launched.tags.get("dagster/sensor_name")
    if by != "gate":
        raise Failed(f"run {launched.run_id} came from {by}, not from gate")


def _follow(children: Children, instance: "DagsterInstance", run_id: str) -> None:
    with activity("waiting for the run", sys.stdout) as shown:
        report = RunReport(MODEL, line, shown.show)
        follower = RunFollower(instance, report)

        def ended() -> "DagsterRun | None":
            found = instance.get_run_by_id(run_id)
            follower.catch_up(run_id)
            return found if found is not None and found.is_finished else None

        done = children.wait_for(ended, "the end of the deployment run", DEPLOY_SECONDS)
    if not done.is_success:
        raise Failed(f"the deployment run failed: {'; '.join(report.errors)}")


def _predict(ports: Ports, plan: ServingPlan) -> None:
    from ml_assets.cli.client import ServerClient
    from ml_assets.cli.demo.live import ask

    step(5, "Live predictions over HTTP for rows that training never saw")
    line("request", f"POST {ports.url}/models/{MODEL}/predict")
    spec = spec_of(MODEL)
    with ServerClient(ports.url) as client:
        live = ask(client, spec, plan)
    line("answers", f"{'predicted':<11}{f'P({spec.positive})':<15}{'truth':<11}id")
    for item in live.shown:
        shown = f"{item.probability:.6f}"
        line("", f"{item.label:<11}{shown:<15}{item.truth:<11}{item.id}")
    line("all rows", f"{live.right} of {live.rows} held-out rows right")
    line("", "each answer equals, in every digit, that of the version loaded here")
    line("speed", f"median {live.median_ms:.2f} ms a request of one row")


def _what_now(directory: Path, seconds: float) -> None:
    done = f"Done in {seconds:.0f} s; every process that was started has ended."
    echo("\n", (done, "bold green"))
    echo("  Look around in what was made here:")
    for command in (
        f"export ML_ASSETS_HOME={directory}",
        f"ml-assets versions {MODEL}",
        f"ml-assets ledger {churn.MODEL}",
        "ml-assets dev  # UI http://127.0.0.1:3000, API http://127.0.0.1:8080/docs",
    ):
        echo(f"    {command}")
    echo("  Add a model of your own:")
    echo("    dg scaffold defs ml_assets.components.TabularClassifier my_model")
