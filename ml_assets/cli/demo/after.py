"""The steps after deployment: labels, a challenger, a slow version, drift, lineage."""

import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ml_assets.cli.demo import churn
from ml_assets.cli.demo.churn import MODEL
from ml_assets.cli.demo.steps import line, lines, step
from ml_assets.cli.demo.traffic import Sent, Traffic
from ml_assets.cli.instance import dagster_instance
from ml_assets.cli.output import Failed
from ml_assets.cli.processes import Children
from ml_assets.cli.run_report import RunReport
from ml_assets.core.files import write_bytes
from ml_assets.records.plan import ServingPlan
from ml_assets.state.plans import Plans

if TYPE_CHECKING:
    from ml_assets.cli.demo.runs import Runs

YAML = "churn.yaml"
MONITOR = f"{MODEL}_monitor"
EXPLAINED = ("answer", "version", "training", "code", "raw data", "gate", "ledger")
FEW = 30


class Demo(NamedTuple):
    """What the steps act on: the home, the second model's runs, and its traffic."""

    directory: Path
    runs: "Runs"
    traffic: Traffic


def run(directory: Path, url: str, children: Children) -> None:
    """Run all steps; `Failed` names what did not happen."""
    from ml_assets.cli.client import ServerClient
    from ml_assets.cli.demo.runs import Runs

    with dagster_instance() as instance, ServerClient(url) as client:
        runs = Runs(instance, directory / YAML)
        demo = Demo(directory, runs, Traffic(client, children))
        _champion(demo)
        _labels(demo)
        _challenger(demo)
        _slow_version(demo)
        sent = _drift(demo)
        _lineage(sent.ids[0])


def _champion(demo: Demo) -> None:
    step(6, f"A second model, {MODEL}: this YAML is all of it")
    churn.write_customers(demo.directory, seed=1)
    lines("", str(churn.SMALL_TREE).splitlines())
    _write(demo, churn.SMALL_TREE)
    report = demo.runs.materialize_all()
    line(
        "run", f"Materialize all, as in the UI: {len(report.metadata)} assets were made"
    )
    line("", f"{len(report.skipped)} had nothing to do yet, and none failed")
    plan = _deployed(report, "passed; the same run deployed it")
    line("service", f"plan {plan.generation}: it answers alone")


def _labels(demo: Demo) -> None:
    step(7, "Live traffic, and its labels")
    sent = demo.traffic.send(churn.customers(1_000, seed=2), rows_each=10)
    line("traffic", sent.sentence)
    by_id = demo.traffic.label(sent, slice(0, 400))
    by_entity = demo.traffic.label(sent, slice(400, 500), by_id=False)
    demo.traffic.await_labels(by_id + by_entity)
    counts = f"{by_id} by prediction id, {by_entity} by customer and time"
    line("labels", f"POST /feedback accepted {counts}")
    report = demo.runs.run(MONITOR)
    line("monitor", f"job {MONITOR} compacts the log and evaluates it")
    performance = report.metadata["performance"]
    joined = performance["joined"]
    _require(joined == by_id + by_entity, f"{joined} labels met their predictions")
    line("performance", performance["finding"].partition("; ")[0])
    found = report.metadata["drift"]
    _require(not found["drifted"], f"drift was found in calm traffic: {found}")
    line("drift", found["finding"])


def _challenger(demo: Demo) -> None:
    step(8, "A challenger in shadow: promoted when labels prove it better")
    champion = _plan().live.version
    _edit(demo, churn.SMALL_TREE, churn.BOOSTING)
    plan = _deploy(demo, demo.runs.run(f"{MODEL}_train"))
    tried = plan.experiment
    _require(
        plan.live.version == champion and tried is not None,
        f"plan {plan.generation} has no challenger beside {champion}",
    )
    line("service", f"plan {plan.generation}: {champion} answers, {tried} in shadow")
    frame = churn.customers(1_500, seed=3)
    sent = demo.traffic.send(frame, rows_each=10, arms=2)
    line("traffic", f"{sent.sentence}; each scored by both")
    for part in (slice(0, FEW), slice(FEW, None)):
        count = demo.traffic.label(sent, part)
        demo.traffic.await_labels(count)
        found = demo.runs.run(MONITOR).metadata["experiment"]
        _print_experiment(found)
        _print_evidence(found)
        expected = "not_yet" if part.start == 0 else "promote"
        _require_verdict(found, expected)
    _require_live(tried, f"after its promotion, {tried}")
    line("ledger", _last_entry("promotion"))


def _slow_version(demo: Demo) -> None:
    step(9, "A bad version in a canary: rolled back by itself")
    champion = _plan().live.version
    _edit(demo, churn.BOOSTING, churn.SLOW_BOOSTING)
    plan = _deploy(demo, demo.runs.run(f"{MODEL}_train"))
    tried = plan.arms[-1]
    _require(
        tried.mode == "split" and plan.experiment == tried.version,
        f"plan {plan.generation} has no canary beside {champion}",
    )
    share = f"{tried.share:.0%}"
    line("service", f"plan {plan.generation}: {tried.version} answers {share} of them")
    sent = demo.traffic.send(churn.customers(500, seed=4), rows_each=1)
    line("traffic", f"{sent.sentence}; no label is sent")
    found = demo.runs.run(MONITOR).metadata["experiment"]
    _print_experiment(found)
    _require_verdict(found, "roll_back")
    _require_live(champion, f"after the rollback, {champion}")
    line("ledger", _last_entry("rollback"))
    _edit(demo, churn.SLOW_BOOSTING, churn.BOOSTING)


def _drift(demo: Demo) -> Sent:
    step(10, "Drift: found in the requests, and trained against")
    line("meanwhile", f"the survey is reworded: satisfaction is {churn.SHIFT:g} higher")
    frame = churn.customers(2_000, seed=5, shifted=True)
    sent = demo.traffic.send(frame, rows_each=20)
    line("traffic", f"{sent.sentence}; no label is needed")
    found = demo.runs.run(MONITOR).metadata["drift"]
    _require(found["drifted"], f"the drift was not found: {found['finding']}")
    line("drift", found["finding"])
    churn.write_customers(demo.directory, seed=6, shifted=True)
    before = _plan().live.version
    report = demo.runs.launch("drift", f"{MODEL}_train")
    line("sensor", "drift asks for a training on the customers of now")
    plan = _deploy(demo, report)
    _require(
        plan.experiment == report.metadata["model"]["version"],
        f"plan {plan.generation} does not try the version that was trained on drift",
    )
    line("service", f"plan {plan.generation}: in shadow beside {before}, as any other")
    return sent


def _lineage(prediction_id: str) -> None:
    from ml_assets.cli.lineage import summary
    from ml_assets.lifecycle.lineage import lineage

    step(11, "Where one answer came from")
    line("command", f"ml-assets lineage {prediction_id}")
    started = time.perf_counter()
    found = lineage(prediction_id)
    seconds = time.perf_counter() - started
    _require(not found["problems"], f"its lineage is broken: {found['problems']}")
    shown = dict(summary(found))
    for name in EXPLAINED:
        line(name, shown[name])
    line("hashes", f"{shown['hashes']}; found in {seconds:.2f} s")


def _write(demo: Demo, text: churn.Text) -> None:
    write_bytes(demo.directory / YAML, str(text).encode())


def _edit(demo: Demo, before: churn.Text, after: churn.Text) -> None:
    lines("YAML now", after.changes(before))
    _write(demo, after)


def _deploy(demo: Demo, trained: RunReport) -> ServingPlan:
    """Let the gate sensor put in service what was trained; the plan that follows."""
    demo.runs.launch("gate", f"{MODEL}_deploy")
    return _deployed(trained, "passed; the sensor gate asks for its deployment")


def _deployed(trained: RunReport, gate: str) -> ServingPlan:
    """Show what was trained and what the gate had to do with it; its plan."""
    version = trained.metadata["model"]["version"]
    estimator = trained.metadata["model"]["estimator"]
    accuracy = trained.metadata["evaluation"]["accuracy"]
    line("version", f"{version}: {estimator}, accuracy {accuracy:.4f} on test rows")
    line("gate", gate)
    plan = _plan()
    _require(
        version in [arm.version for arm in plan.arms],
        f"version {version} is not in plan {plan.generation} after its deployment",
    )
    return plan


def _plan() -> ServingPlan:
    plan = Plans().current(MODEL)
    if plan is None:
        raise Failed(f"{MODEL} is not in service")
    return plan


def _print_experiment(found: dict[str, Any]) -> None:
    verdict = found["verdict"].replace("_", " ")
    line("experiment", f"{verdict}: {found['finding']}")


def _print_evidence(found: dict[str, Any]) -> None:
    """The e-value, which is valid after every label."""
    evidence = found["state"]["evidence"]
    e, needed = math.exp(evidence["log_better"]), 1 / evidence["alpha"]
    at = evidence["decided_at"]
    reached = f"reached at label {at:,}" if at else "not reached"
    line("e-value", f"{e:.3g} after {evidence['n']:,} labels; {needed:g} {reached}")


def _require_verdict(found: dict[str, Any], expected: str) -> None:
    if found["verdict"] != expected:
        raise Failed(
            f"the verdict is {found['verdict']}, expected {expected}:"
            f" {found['finding']}"
        )


def _require_live(version: str | None, what: str) -> None:
    plan = _plan()
    alone = plan.live.version == version and len(plan.arms) == 1
    _require(alone, f"{what} does not serve alone in plan {plan.generation}")


def _last_entry(kind: str) -> str:
    from ml_assets.state.ledger import Ledger

    entry = Ledger().entries(MODEL)[-1]
    if entry.kind != kind:
        raise Failed(f"the ledger ends with a {entry.kind}, expected a {kind}")
    return f"entry {entry.seq}, {kind}: plan {entry.generation}"


def _require(is_so: bool, problem: str) -> None:
    if not is_so:
        raise Failed(problem)
