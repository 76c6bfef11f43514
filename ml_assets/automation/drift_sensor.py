"""The sensor that trains a version when drift is found."""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import dagster as dg
import msgspec

from ml_assets.assets.training import DRIFT
from ml_assets.automation import new_events
from ml_assets.automation.over_models import each_model, model_sensor, tick_result
from ml_assets.core.decoding import from_json
from ml_assets.lifecycle.drift_reports import DRIFTED_COLUMNS
from ml_assets.spec.model import ModelSpec
from ml_assets.state.versions import Versions

NAME = "drift"
SENSOR_SECONDS = 60


class Asked(msgspec.Struct, frozen=True, omit_defaults=True):
    """What training of a model was asked for: when, in unix seconds, and for what."""

    time: float | None = None
    champion: str = ""
    columns: frozenset[str] = frozenset()


class Progress(msgspec.Struct, frozen=True):
    """The sensor's cursor: which reports were handled, and what was asked for."""

    events: new_events.Progress = new_events.Progress()
    asked: dict[str, Asked] = {}


class DriftEvent(NamedTuple):
    """A drift report as the event log has it."""

    report: str
    drifted: bool
    raw_version: str
    champion: str
    columns: frozenset[str]


class Decision(NamedTuple):
    """What follows for one model."""

    requests: list[dg.RunRequest]
    reasons: list[str]
    asked: Asked


def drift_sensor(
    specs: Sequence[ModelSpec], jobs: Sequence[Any], name: str = NAME
) -> dg.SensorDefinition:
    """Trains a version when drift is found, once per report and not too often.

    Nothing is trained where the source has no other data than the newest version saw:
    that is no remedy. Nor is the same drift of the same champion a reason twice, where
    a schedule trains on: what came of the first training did not pass the gate. A new
    version has to pass it like any other.

    Parameters
    ----------
    jobs : sequence of jobs
        Which train a version, one of each model.
    """
    description = "Trains a model when its inputs have drifted."
    return model_sensor(name, tick, specs, jobs, SENSOR_SECONDS, description)


def tick(
    context: dg.SensorEvaluationContext, specs: Mapping[str, ModelSpec]
) -> dg.SensorResult:
    """Decide on every report that is new."""
    before = from_json(context.cursor or "{}", Progress)
    news = new_events.fetch(context.instance, "drift", specs, before.events)

    def decide(model: str) -> Decision:
        events = map(_event, news.events[model])
        asked = before.asked.get(model, Asked())
        return _decide(context.instance, specs[model], events, asked)

    decisions, failed = each_model(context, news.events, decide)
    now_asked = {model: found.asked for model, found in decisions.items()}
    after = Progress(
        news.progress(failed),
        {
            model: asked
            for model, asked in {**before.asked, **now_asked}.items()
            if asked.time is not None and model in specs
        },
    )
    requests = [item for found in decisions.values() for item in found.requests]
    reasons = [text for found in decisions.values() for text in found.reasons]
    return tick_result(requests, reasons, failed, "no new drift report", after)


def _decide(
    instance: dg.DagsterInstance,
    spec: ModelSpec,
    events: Iterable[DriftEvent],
    asked: Asked,
) -> Decision:
    requests, reasons = [], []
    for event in events:
        now = dt.datetime.now(dt.UTC).timestamp()
        reason = _why_no_training(spec, event, asked, now)
        if reason:
            reasons.append(f"{spec.name}, {event.report}: {reason}")
            continue
        known = asked.columns if event.champion == asked.champion else ()
        job, tags = f"{spec.name}_train", {"model": spec.name, DRIFT: event.report}
        # A sensor that lost its cursor finds what it asked for among the runs.
        runs = instance.get_run_records(dg.RunsFilter(job_name=job, tags=tags), limit=1)
        if runs:
            now = runs[0].create_timestamp.timestamp()
        else:
            run_key = f"{spec.name}:{event.report}"
            requests.append(dg.RunRequest(job_name=job, run_key=run_key, tags=tags))
        asked = Asked(now, event.champion, event.columns.union(known))
    return Decision(requests, reasons, asked)


def _why_no_training(
    spec: ModelSpec, event: DriftEvent, asked: Asked, now: float
) -> str:
    """Why a report leads to no training; empty where it does."""
    if not event.drifted:
        return "no drift"
    newest = Versions().newest(spec.name) if event.raw_version else None
    if newest is not None and newest.raw_version == event.raw_version:
        return f"version {newest.version} was trained on that data"
    is_known = event.champion == asked.champion and event.columns <= asked.columns
    if spec.schedule and event.columns and is_known:
        return f"training was asked for this drift from {event.champion} before"
    hours = spec.monitoring.cooldown_hours
    if asked.time is not None and now - asked.time < hours * 3_600:
        return f"drift, and training was asked for less than {hours:g} hours ago"
    return ""


def _event(metadata: Mapping[str, Any]) -> DriftEvent:
    # A report that a person wrote by hand decides nothing.
    given = {name: item.value for name, item in metadata.items()}
    return DriftEvent(
        str(given.get("report_id", "")),
        bool(given.get("drifted", False)),
        str(given.get("raw_version", "")),
        str(given.get("version", "")),
        frozenset(given.get(DRIFTED_COLUMNS) or ()),
    )
