"""The events that are notified: from Dagster's event log and from the ledgers."""

import datetime as dt
import re
from collections.abc import Callable, Collection, Iterator
from typing import Any

import dagster as dg

from ml_assets.observability.notifications.messages import Kind, Notification
from ml_assets.records.ledger_entry import Entry
from ml_assets.spec.reserved import RELEASE
from ml_assets.state.ledger import Ledger
from ml_assets.state.versions import Versions

PAGE = 100
WILL_RETRY = "dagster/will_retry"
RUN_ID = re.compile(r"\brun ([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\b")

# Kind of entry to the kind of notification and the end of its title. Holds have none:
# they follow from a rollback, or somebody has just made them.
MODEL_ENTRIES: dict[str, tuple[Kind, str]] = {
    "deployment": ("deployment", "was deployed"),
    "experiment": ("deployment", "has an experiment"),
    "promotion": ("deployment", "was promoted"),
    "refusal": ("refusal", "was not deployed"),
    "rollback": ("rollback", "was rolled back"),
}
# The same of a release of the platform itself, with the asset of its details.
RELEASE_ENTRIES = {
    "release_staging": ("runs in staging", "staging"),
    "release_production": ("runs in production", "production"),
    "release_failure": ("failed in {environment}", "{environment}"),
    "approval": ("was approved for production", "approval"),
    "refusal": ("was refused for {environment}", "{environment}"),
    "rollback": ("runs in production again", "production"),
}


def newest_event(instance: dg.DagsterInstance) -> int:
    """Number of the last event in the log."""
    return instance.event_log_storage.get_maximum_record_id() or 0


def failed_runs(instance: dg.DagsterInstance, after: int) -> Iterator[Notification]:
    """Runs that failed and are not tried again by themselves."""

    def fetch(cursor: str | None) -> Any:
        wanted = dg.RunStatusChangeRecordsFilter(
            dg.DagsterEventType.RUN_FAILURE, after_storage_id=after
        )
        return instance.fetch_run_status_changes(wanted, PAGE, cursor, ascending=True)

    for record in _pages(fetch):
        run = instance.get_run_by_id(record.run_id)
        if run is None or run.tags.get(WILL_RETRY) == "true":
            continue
        statistics = instance.get_run_step_stats(run.run_id)
        steps = [step.step_key for step in statistics if _has_failed(step)]
        yield Notification(
            key=f"run_failure:{run.run_id}",
            kind="run_failure",
            time=record.timestamp,
            title=f"{run.job_name} failed",
            # The message of an error may hold values of rows; the run shows it.
            text=f"in {', '.join(steps)}" if steps else "before or between its steps",
            run_id=run.run_id,
        )


def of_models(
    instance: dg.DagsterInstance, models: Collection[str], after: int
) -> Iterator[Notification]:
    """Verdicts of the gate and drift, from materializations after an event.

    It reads what is new, whatever the number of models.
    """
    stages = {"evaluation": _verdict, "drift": _drift}
    for event in _new_materializations(instance, after):
        key = event.asset_materialization.asset_key
        model, stage = key.path[0], "/".join(key.path[1:])
        if model in models and stage in stages:
            notification = stages[stage](model, event)
            if notification is not None:
                yield notification


def _new_materializations(instance: dg.DagsterInstance, after: int) -> Iterator[Any]:
    log = instance.event_log_storage
    kind = dg.DagsterEventType.ASSET_MATERIALIZATION
    while found := log.get_logs_for_all_runs_by_log_id(after, kind, PAGE):
        yield from found.values()
        after = max(found)


def _verdict(model: str, event: Any) -> Notification | None:
    version = str(_metadata(event).get("version", ""))
    evaluation = Versions().evaluation(model, version) if version else None
    # Retention may have removed it; one that a person reported by hand has none.
    if evaluation is None:
        return None
    gate = evaluation["gate"]
    verdict = "passed" if gate["passed"] else "did not pass"
    return Notification(
        key=f"gate:{model}:{version}:{event.run_id}",
        kind="gate",
        time=event.timestamp,
        title=f"{model} {version} {verdict} its gate",
        text=str(gate["reason"]),
        run_id=event.run_id,
        asset=f"{model}/evaluation",
    )


def _drift(model: str, event: Any) -> Notification | None:
    found = _metadata(event)
    if not found.get("drifted"):
        return None
    return Notification(
        key=f"drift:{model}:{found.get('report_id')}",
        kind="drift",
        time=event.timestamp,
        title=f"{model} drifts",
        text=str(found.get("finding", "")),
        run_id=event.run_id,
        asset=f"{model}/drift",
    )


def decisions(seen: dict[str, int]) -> Iterator[tuple[str, int, Notification | None]]:
    """Each ledger entry after `seen`: its model, its number and its notification."""
    for model, (last, _) in sorted(Ledger().newest().items()):
        known = seen.get(model, 0)
        for entry in Ledger().entries(model, after=known) if last > known else ():
            yield model, entry.seq, _decision(entry)


def _decision(entry: Entry) -> Notification | None:
    parts = _of_release(entry) if entry.model == RELEASE else _of_model(entry)
    if parts is None:
        return None
    kind, title, text, asset = parts
    run = RUN_ID.search(entry.who)
    return Notification(
        key=f"ledger:{entry.model}:{entry.seq}:{entry.hash[:16]}",
        kind=kind,
        time=dt.datetime.fromisoformat(entry.time).timestamp(),
        title=title,
        text=text,
        run_id=run[1] if run else None,
        asset=asset,
    )


def _of_model(entry: Entry) -> tuple[Kind, str, str, str] | None:
    if entry.kind not in MODEL_ENTRIES:
        return None
    kind, phrase = MODEL_ENTRIES[entry.kind]
    plan = f", plan {entry.generation}" if entry.generation else ""
    text = f"version {entry.version}{plan}: {entry.why}"
    return kind, f"{entry.model} {phrase}", text, f"{entry.model}/deployment"


def _of_release(entry: Entry) -> tuple[Kind, str, str, str] | None:
    if entry.kind not in RELEASE_ENTRIES:
        return None
    environment = entry.evidence.get("environment", "production")
    phrase, asset = (
        text.format(environment=environment) for text in RELEASE_ENTRIES[entry.kind]
    )
    title = f"release {_release_name(entry)} {phrase}"
    return "release", title, entry.why, f"{RELEASE}/{asset}"


def _release_name(entry: Entry) -> str:
    """The name of the release, and the first digits of its digest."""
    digest = entry.version.removeprefix("sha256:")[:12]
    name = entry.evidence.get("name", digest)
    return f"{name}" if name in (digest, entry.version) else f"{name} ({digest})"


def materializations(
    instance: dg.DagsterInstance, model: str, stage: str, after: int
) -> Iterator[Any]:
    """Records of a stage's materializations after an event, oldest first."""
    wanted = dg.AssetRecordsFilter(dg.AssetKey([model, stage]), after_storage_id=after)

    def fetch(cursor: str | None) -> Any:
        return instance.fetch_materializations(wanted, PAGE, cursor, ascending=True)

    return _pages(fetch)


def _pages(fetch: Callable[[str | None], Any]) -> Iterator[Any]:
    """Records of one page after the other, oldest first."""
    cursor, has_more = None, True
    while has_more:
        page = fetch(cursor)
        yield from page.records
        cursor, has_more = page.cursor, page.has_more


def _metadata(event: Any) -> dict[str, Any]:
    found = event.asset_materialization.metadata
    return {name: item.value for name, item in found.items()}


def _has_failed(step: Any) -> bool:
    return step.status is not None and step.status.value == "FAILURE"
