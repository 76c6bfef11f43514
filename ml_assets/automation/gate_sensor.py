"""The sensor that deploys a version when it passes its gate.

While a challenger is under test, a newer version waits: an experiment needs its labels,
which may take longer than the time between two trainings, and a version that replaced
the challenger would begin without any, so that no experiment would ever end.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import dagster as dg
import msgspec

from ml_assets.assets.common import key
from ml_assets.assets.retries import is_settled, next_attempt
from ml_assets.automation import new_events
from ml_assets.automation.over_models import each_model, model_sensor, tick_result
from ml_assets.core.decoding import from_json
from ml_assets.lifecycle.plan_transitions import challenger
from ml_assets.ml.gate import Gate
from ml_assets.ml.gate_figures import GateFigures
from ml_assets.records.plan import ServingPlan
from ml_assets.spec.model import ModelSpec
from ml_assets.state.ledger import Ledger
from ml_assets.state.plans import Plans
from ml_assets.state.versions import Versions

NAME = "gate"
SENSOR_SECONDS = 15


class Progress(msgspec.Struct, frozen=True):
    """The sensor's cursor.

    Attributes
    ----------
    events
        Which evaluations were handled.
    open
        The newest version of a model that was asked for, or waits, until it is decided.
    """

    events: new_events.Progress = new_events.Progress()
    open: dict[str, str] = {}


class Decision(NamedTuple):
    """What follows for one model; `open` is its version that is to be asked again."""

    requests: list[dg.RunRequest]
    refusals: list[str]
    open: str | None


def gate_sensor(
    specs: Sequence[ModelSpec], jobs: Sequence[Any], name: str = NAME
) -> dg.SensorDefinition:
    """Deploys every version that passes the gate, each exactly once.

    It walks the evaluations in the order of the event log, so that none is passed over
    however many came since the last tick, and asks for one run per version.

    Parameters
    ----------
    jobs : sequence of jobs
        Which deploy a version, one of each model.
    """
    description = "Deploys a version of any model when it passes its gate."
    return model_sensor(name, tick, specs, jobs, SENSOR_SECONDS, description)


def tick(
    context: dg.SensorEvaluationContext, specs: Mapping[str, ModelSpec]
) -> dg.SensorResult:
    """Decide on every evaluation that is new, and on what was left open."""
    instance = context.instance
    before = from_json(context.cursor or "{}", Progress)
    news = new_events.fetch(instance, "evaluation", specs, before.events)
    models = {*news.events, *before.open} & specs.keys()

    def decide(model: str) -> Decision:
        events, has_joined = news.events.get(model, []), model in news.joined
        left_open = before.open.get(model)
        return _decide(instance, specs[model], events, left_open, has_joined)

    decisions, failed = each_model(context, models, decide)
    refusals = [text for found in decisions.values() for text in found.refusals]
    for refusal in refusals:
        context.log.info(refusal)
    requests = [item for found in decisions.values() for item in found.requests]
    still_open = {model: found.open for model, found in decisions.items() if found.open}
    # Of a model that is away for now, too.
    left = before.open.keys() - decisions.keys()
    kept = {model: before.open[model] for model in left}
    after = Progress(news.progress(failed), kept | still_open)
    return tick_result(requests, refusals, failed, "no new evaluation", after)


def _decide(
    instance: dg.DagsterInstance,
    spec: ModelSpec,
    evaluations: list[Mapping[str, Any]],
    left_open: str | None,
    has_joined: bool,
) -> Decision:
    gate, model = Gate(spec.gate), spec.name
    if Plans().is_retired(model):
        return Decision([], [f"{model} is retired: no version is deployed"], None)
    plan = Plans().current(model)
    tried = _under_test(spec, plan)
    passing, refusals = [], []
    for metadata in evaluations:
        # An evaluation that a person reported by hand has no figures to decide on.
        if not {"version", "figures"} <= metadata.keys():
            continue
        version = str(metadata["version"].value)
        decision = gate.decide(GateFigures.from_dict(metadata["figures"].value))
        about = f"{model}: version {version}"
        if not decision.deploys:
            refusals.append(f"{about} is not deployed: {decision.reason}")
        elif tried not in (None, version):
            left_open = version
            refusals.append(f"{about} waits: {tried} is under test")
        # One that joins begins with all that ever was, or was when it left.
        elif not (has_joined and _is_past(model, version, plan)):
            passing.append(version)
    if passing:
        requests = [_request(spec, version) for version in passing]
        return Decision(requests, refusals, passing[-1])
    if left_open is None or tried is not None:
        return Decision([], refusals, left_open)
    return _again(instance, spec, left_open, refusals)


def _again(
    instance: dg.DagsterInstance, spec: ModelSpec, version: str, refusals: list[str]
) -> Decision:
    """Ask for a version once more, if its run failed and nobody decided on it."""
    newest = Versions().latest(spec.name)
    # A later version replaces it; one that is gone, or was decided on, is not retried.
    if newest != [version] or _is_decided(spec.name, version):
        return Decision([], refusals, None)
    job, tags = f"{spec.name}_deploy", {"version": version}
    attempt = next_attempt(instance, job, tags, dt.datetime.now(dt.UTC).timestamp())
    if attempt is not None:
        return Decision([_request(spec, version, attempt)], refusals, version)
    return Decision([], refusals, None if is_settled(instance, job, tags) else version)


def _request(spec: ModelSpec, version: str, attempt: int = 1) -> dg.RunRequest:
    again = f":{attempt}" if attempt > 1 else ""
    deployment = "__".join(key(spec, "deployment").path)
    return dg.RunRequest(
        job_name=f"{spec.name}_deploy",
        run_key=f"{spec.name}:{version}{again}",
        run_config={"ops": {deployment: {"config": {"version": version}}}},
        tags={"model": spec.name, "version": version},
    )


def _is_past(model: str, version: str, plan: ServingPlan | None) -> bool:
    """Whether a version was decided on, or a later one serves."""
    is_later = plan is not None and plan.live.version > version
    return is_later or _is_decided(model, version)


def _is_decided(model: str, version: str) -> bool:
    return Ledger().last(model, version=version) is not None


def _under_test(spec: ModelSpec, plan: ServingPlan | None) -> str | None:
    """The version that is the challenger of the active plan; None without one."""
    if spec.serving.strategy == "rolling" or plan is None:
        return None
    tried = challenger(plan)
    return tried.version if tried else None
