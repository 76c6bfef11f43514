"""The acts after deployment: labels, a challenger, a slow version, drift, lineage."""

import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ml_assets.cli.demonstration import churn
from ml_assets.cli.demonstration.acts import act, tell, tell_all
from ml_assets.cli.demonstration.churn import MODEL
from ml_assets.cli.demonstration.traffic import Sent, Traffic
from ml_assets.cli.instance import dagster_instance
from ml_assets.cli.output import Failed
from ml_assets.cli.processes import Children
from ml_assets.cli.run_reporter import Story
from ml_assets.core.storage import storage_root, write_bytes
from ml_assets.records.plan import ServingPlan
from ml_assets.serving.models.plan_store import PlanStore

if TYPE_CHECKING:
    from ml_assets.cli.demonstration.runs import Runs

YAML = "churn.yaml"
MONITOR = f"{MODEL}_monitor"
EXPLAINED = ("answer", "version", "training", "code", "raw data", "gate", "ledger")
FEW = 30


class Stage(NamedTuple):
    """What the acts play on."""

    place: Path
    runs: "Runs"
    traffic: Traffic


def run(place: Path, url: str, children: Children) -> None:
    """Play all acts; `Failed` says which did not happen."""
    from ml_assets.cli.client import ServerClient
    from ml_assets.cli.demonstration.runs import Runs

    with dagster_instance() as instance, ServerClient(url) as client:
        runs = Runs(instance, place / YAML)
        stage = Stage(place, runs, Traffic(client, children))
        _champion(stage)
        _labels(stage)
        _challenger(stage)
        _slow_version(stage)
        sent = _drift(stage)
        _lineage(sent.ids[0])


def _champion(stage: Stage) -> None:
    act(6, f"A second model, {MODEL}: this YAML is all of it")
    churn.write_customers(stage.place, seed=1)
    tell_all("", str(churn.SMALL_TREE).splitlines())
    _write(stage, churn.SMALL_TREE)
    story = stage.runs.materialize_all()
    tell(
        "run", f"Materialize all, as in the UI: {len(story.metadata)} assets were made"
    )
    tell("", f"{len(story.skipped)} had nothing to do yet, and none failed")
    plan = _deploy(stage, story)
    tell("service", f"plan {plan.generation}: it answers alone")


def _labels(stage: Stage) -> None:
    act(7, "Live traffic, and what turned out")
    sent = stage.traffic.send(churn.customers(1_000, seed=2), rows_each=10)
    tell("traffic", sent.sentence)
    by_id = stage.traffic.label(sent, slice(0, 400))
    by_entity = stage.traffic.label(sent, slice(400, 500), by_id=False)
    stage.traffic.await_labels(by_id + by_entity)
    said = f"{by_id} by prediction id, {by_entity} by customer and time"
    tell("labels", f"POST /feedback took {said}")
    story = stage.runs.run(MONITOR)
    tell("monitor", f"job {MONITOR} compacts the log and looks at it")
    performance = story.metadata["performance"]
    joined = performance["joined"]
    _require(joined == by_id + by_entity, f"{joined} labels met their predictions")
    tell("performance", performance["finding"].partition("; ")[0])
    found = story.metadata["drift"]
    _require(not found["drifted"], f"drift was found in calm traffic: {found}")
    tell("drift", found["finding"])


def _challenger(stage: Stage) -> None:
    act(8, "A challenger in shadow: promoted when labels prove it better")
    champion = _plan().live.version
    _edit(stage, churn.SMALL_TREE, churn.BOOSTING)
    plan = _deploy(stage, stage.runs.run(f"{MODEL}_train"))
    tried = plan.experiment
    _require(
        plan.live.version == champion and tried is not None,
        f"plan {plan.generation} has no challenger beside {champion}",
    )
    tell("service", f"plan {plan.generation}: {champion} answers, {tried} in shadow")
    frame = churn.customers(1_500, seed=3)
    sent = stage.traffic.send(frame, rows_each=10, arms=2)
    tell("traffic", f"{sent.sentence}; each scored by both")
    for part in (slice(0, FEW), slice(FEW, None)):
        count = stage.traffic.label(sent, part)
        stage.traffic.await_labels(count)
        found = stage.runs.run(MONITOR).metadata["experiment"]
        _tell_experiment(found)
        _tell_evidence(found)
        expected = "not_yet" if part.start == 0 else "promote"
        _require_verdict(found, expected)
    _require_live(tried, f"after its promotion, {tried}")
    tell("ledger", _last_entry("promotion"))


def _slow_version(stage: Stage) -> None:
    act(9, "A bad version in a canary: rolled back by itself")
    champion = _plan().live.version
    _edit(stage, churn.BOOSTING, churn.SLOW_BOOSTING)
    plan = _deploy(stage, stage.runs.run(f"{MODEL}_train"))
    tried = plan.arms[-1]
    _require(
        tried.mode == "split" and plan.experiment == tried.version,
        f"plan {plan.generation} has no canary beside {champion}",
    )
    share = f"{tried.share:.0%}"
    tell("service", f"plan {plan.generation}: {tried.version} answers {share} of them")
    sent = stage.traffic.send(churn.customers(500, seed=4), rows_each=1)
    tell("traffic", f"{sent.sentence}; nobody told how it turned out")
    found = stage.runs.run(MONITOR).metadata["experiment"]
    _tell_experiment(found)
    _require_verdict(found, "roll_back")
    _require_live(champion, f"after the rollback, {champion}")
    tell("ledger", _last_entry("rollback"))
    _edit(stage, churn.SLOW_BOOSTING, churn.BOOSTING)


def _drift(stage: Stage) -> Sent:
    act(10, "Drift: found in the requests, and trained against")
    tell("meanwhile", f"the survey is reworded: satisfaction is {churn.SHIFT:g} higher")
    frame = churn.customers(2_000, seed=5, shifted=True)
    sent = stage.traffic.send(frame, rows_each=20)
    tell("traffic", f"{sent.sentence}; no label is needed")
    found = stage.runs.run(MONITOR).metadata["drift"]
    _require(found["drifted"], f"the drift was not found: {found['finding']}")
    tell("drift", found["finding"])
    churn.write_customers(stage.place, seed=6, shifted=True)
    before = _plan().live.version
    story = stage.runs.launch(f"{MODEL}_drift", f"{MODEL}_train")
    tell("sensor", f"{MODEL}_drift asks for a training on the customers of now")
    plan = _deploy(stage, story)
    _require(
        plan.experiment == story.metadata["model"]["version"],
        f"plan {plan.generation} does not try the version that was trained on drift",
    )
    tell("service", f"plan {plan.generation}: in shadow beside {before}, as any other")
    return sent


def _lineage(prediction_id: str) -> None:
    from ml_assets.cli.lineage import told_of
    from ml_assets.lifecycle.lineage import lineage

    act(11, "Where one answer came from")
    tell("command", f"ml-assets lineage {prediction_id}")
    started = time.perf_counter()
    found = lineage(prediction_id)
    seconds = time.perf_counter() - started
    _require(not found["problems"], f"its lineage is broken: {found['problems']}")
    told = dict(told_of(found))
    for name in EXPLAINED:
        tell(name, told[name])
    tell("hashes", f"{told['hashes']}; found in {seconds:.2f} s")


def _write(stage: Stage, text: churn.Text) -> None:
    write_bytes(stage.place / YAML, str(text).encode())


def _edit(stage: Stage, before: churn.Text, after: churn.Text) -> None:
    tell_all("YAML now", after.changes(before))
    _write(stage, after)


def _deploy(stage: Stage, trained: Story) -> ServingPlan:
    """Let the gate sensor put in service what was trained; the plan that follows."""
    version = trained.metadata["model"]["version"]
    estimator = trained.metadata["model"]["estimator"]
    accuracy = trained.metadata["evaluation"]["accuracy"]
    tell("version", f"{version}: {estimator}, accuracy {accuracy:.4f} on test rows")
    stage.runs.launch(f"{MODEL}_gate", f"{MODEL}_deploy")
    tell("gate", f"passed; sensor {MODEL}_gate asks for its deployment")
    plan = _plan()
    _require(
        version in [arm.version for arm in plan.arms],
        f"version {version} is not in plan {plan.generation} after its deployment",
    )
    return plan


def _plan() -> ServingPlan:
    plan = PlanStore(storage_root()).current(MODEL)
    if plan is None:
        raise Failed(f"{MODEL} is not in service")
    return plan


def _tell_experiment(found: dict[str, Any]) -> None:
    verdict = found["verdict"].replace("_", " ")
    tell("experiment", f"{verdict}: {found['finding']}")


def _tell_evidence(found: dict[str, Any]) -> None:
    """The e-value, which may be looked at after every label."""
    evidence = found["state"]["evidence"]
    e, needed = math.exp(evidence["log_better"]), 1 / evidence["alpha"]
    at = evidence["decided_at"]
    reached = f"reached at label {at:,}" if at else "not reached"
    tell("e-value", f"{e:.3g} after {evidence['n']:,} labels; {needed:g} {reached}")


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

    entry = Ledger(storage_root()).entries(MODEL)[-1]
    if entry.kind != kind:
        raise Failed(f"the ledger ends with a {entry.kind}, expected a {kind}")
    return f"entry {entry.seq}, {kind}: plan {entry.generation}"


def _require(is_so: bool, problem: str) -> None:
    if not is_so:
        raise Failed(problem)
