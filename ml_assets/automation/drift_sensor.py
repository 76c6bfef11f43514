"""The sensor that trains a version when drift is found."""

import datetime as dt
from typing import Any, NamedTuple

import dagster as dg
import msgspec

from ml_assets.assets.common import key
from ml_assets.assets.training import DRIFT
from ml_assets.lifecycle.drift_reports import DRIFTED_COLUMNS
from ml_assets.spec.model import ModelSpec
from ml_assets.state.versions import Versions

SENSOR_SECONDS = 60
BATCH = 50


class Progress(msgspec.Struct, frozen=True):
    """The drift sensor's cursor.

    Attributes
    ----------
    seen
        The last report, by its number in the event log.
    trained
        When training was asked for last, in unix seconds.
    champion, columns
        Whose drift, and in which columns, training was asked for.
    """

    seen: int = 0
    trained: float | None = None
    champion: str = ""
    columns: frozenset[str] = frozenset()


class DriftEvent(NamedTuple):
    """A drift report as the event log has it."""

    storage_id: int
    report: str
    drifted: bool
    raw_version: str
    champion: str
    columns: frozenset[str]


def drift_sensor(spec: ModelSpec) -> dg.SensorDefinition:
    """Trains a version when drift is found, once per report and not too often.

    Nothing is trained where the source has no other data than the newest version saw:
    that is no remedy. Nor is the same drift of the same champion a reason twice, where
    a schedule trains on: what came of the first training did not pass the gate. A new
    version has to pass it like any other.
    """

    @dg.sensor(
        name=f"{spec.name}_drift",
        job_name=f"{spec.name}_train",
        minimum_interval_seconds=SENSOR_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Trains {spec.name} when its inputs have drifted.",
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        progress = (
            msgspec.json.decode(context.cursor, type=Progress)
            if context.cursor
            else Progress()
        )
        now = dt.datetime.now(dt.UTC).timestamp()
        requests, reasons = [], []
        for event in _events(context, spec, progress.seen):
            progress = msgspec.structs.replace(progress, seen=event.storage_id)
            reason = _why_no_training(spec, event, progress, now)
            if reason:
                reasons.append(f"{event.report}: {reason}")
                continue
            known = progress.columns if event.champion == progress.champion else ()
            progress = msgspec.structs.replace(
                progress,
                trained=now,
                champion=event.champion,
                columns=event.columns.union(known),
            )
            requests.append(
                dg.RunRequest(
                    run_key=event.report,
                    tags={"model": spec.name, DRIFT: event.report},
                )
            )
        text = "; ".join(reasons) or "no new drift report"
        return dg.SensorResult(
            run_requests=requests,
            skip_reason=None if requests else dg.SkipReason(text),
            cursor=msgspec.json.encode(progress).decode(),
        )

    return sensor


def _why_no_training(
    spec: ModelSpec, event: DriftEvent, progress: Progress, now: float
) -> str:
    """Why a report leads to no training; empty where it does."""
    if not event.drifted:
        return "no drift"
    newest = Versions().newest(spec.name) if event.raw_version else None
    if newest is not None and newest.raw_version == event.raw_version:
        return f"version {newest.version} was trained on that data"
    is_known = event.champion == progress.champion and event.columns <= progress.columns
    if spec.schedule and event.columns and is_known:
        return f"training was asked for this drift from {event.champion} before"
    hours, trained = spec.monitoring.cooldown_hours, progress.trained
    if trained is not None and now - trained < hours * 3_600:
        return f"drift, and training was asked for less than {hours:g} hours ago"
    return ""


def _events(
    context: dg.SensorEvaluationContext, spec: ModelSpec, seen: int
) -> list[DriftEvent]:
    records = context.instance.fetch_materializations(
        dg.AssetRecordsFilter(key(spec, "drift"), after_storage_id=seen),
        limit=BATCH,
        ascending=True,
    ).records
    found = []
    for record in records:
        event = record.asset_materialization
        if event is None:
            continue
        # A report that a person wrote by hand decides nothing.
        given: dict[str, Any] = {
            name: item.value for name, item in event.metadata.items()
        }
        found.append(
            DriftEvent(
                record.storage_id,
                str(given.get("report_id", "")),
                bool(given.get("drifted", False)),
                str(given.get("raw_version", "")),
                str(given.get("version", "")),
                frozenset(given.get(DRIFTED_COLUMNS) or ()),
            )
        )
    return found
