"""The sensor that tells people of what happened, in Slack; no run waits for it."""

import time
from collections.abc import Iterable
from itertools import chain
from pathlib import Path

import dagster as dg
import msgspec

from ml_assets.core.storage import storage_root
from ml_assets.observability.notifications import event_sources as happenings
from ml_assets.observability.notifications.messages import Announcement
from ml_assets.observability.notifications.notifier import Notifier
from ml_assets.observability.notifications.slack import Outcome, from_environment

SENSOR_SECONDS = 15
# Slack takes about one message a second.
MESSAGES = 10
# With several writers an event can appear after one with a higher number. What was told
# before is not told again, so looking this far back costs a query.
OVERLAP = 1_000
# Waits after attempts that failed one after the other: 15 s, 30 s, ..., at most 10 min.
FIRST_WAIT = 15.0
LONGEST_WAIT = 600.0
# What is older is no news.
STALE_SECONDS = 86_400.0
AFTER = {
    "undelivered": "; it is tried again",
    "refused": "; it would be refused again",
    "unknown": "; it may have arrived, so it is not sent again",
}
# An empty cursor would leave the old one.
NOWHERE = "off"
OFF = "SLACK_WEBHOOK is not set: nothing is announced"


class Progress(msgspec.Struct, frozen=True):
    """The sensor's cursor.

    `start` and `seen` are numbers of events: where it began, and up to where all is
    told; `ledgers` has the same by model. `failures` counts attempts that failed one
    after the other, and nothing is sent before `wait_until`.
    """

    start: int
    seen: int
    ledgers: dict[str, int]
    failures: int = 0
    wait_until: float = 0.0


def build() -> dg.Definitions:
    """The sensor, for the whole code location."""

    @dg.sensor(
        name="notifications",
        minimum_interval_seconds=SENSOR_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=(
            "Announces failed runs, gate verdicts, deployments, rollbacks, drift and"
            " releases in Slack, each at most once."
        ),
    )
    def notifications(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        return tick(context)

    return dg.Definitions(sensors=[notifications])


def tick(context: dg.SensorEvaluationContext) -> dg.SensorResult:
    """Tell of what is new, in the order in which it happened."""
    channel = from_environment()
    if channel is None:
        # When it is switched on again, it does not begin with what was missed.
        return dg.SensorResult(skip_reason=OFF, cursor=NOWHERE)
    root, now = storage_root(), time.time()
    if context.cursor in (None, "", NOWHERE):
        return _result("it begins with what happens from now on", _begin(context, root))
    before = msgspec.json.decode(str(context.cursor), type=Progress)
    if now < before.wait_until:
        wait = before.wait_until - now
        return _result(f"Slack is tried again in {wait:.0f} s", before)
    after, events = _news(context, root, before)
    notifier = Notifier(root, channel)
    told = _tell(notifier, [e for e in events if now - e.time < STALE_SECONDS])
    notifier.forget(now)
    return _conclude(context, before, after, told, now)


class Told(msgspec.Struct):
    """What a tick came to; `failure` ended it, and `is_all` if nothing is left."""

    delivered: int = 0
    failure: Outcome | None = None
    is_all: bool = True


def _begin(context: dg.SensorEvaluationContext, root: Path) -> Progress:
    newest = happenings.newest_event(context.instance)
    seen = {model: seq for model, seq, _ in happenings.decisions(root, {})}
    return Progress(newest, newest, seen)


def _news(
    context: dg.SensorEvaluationContext, root: Path, before: Progress
) -> tuple[Progress, list[Announcement]]:
    """What happened since, oldest first, and the progress once all of it is told."""
    instance = context.instance
    # First the number, then the events: one that comes meanwhile is seen twice.
    seen, ledgers, events = happenings.newest_event(instance), {**before.ledgers}, []
    for model, seq, event in happenings.decisions(root, before.ledgers):
        ledgers[model] = seq
        events += [] if event is None else [event]
    after = max(before.start, before.seen - OVERLAP)
    events += happenings.failed_runs(instance, after)
    for model in _models(context):
        verdicts = happenings.gate_verdicts(instance, root, model, after)
        events += chain(verdicts, happenings.drifts(instance, model, after))
    progress = Progress(before.start, seen, ledgers)
    return progress, sorted(events, key=lambda event: event.time)


def _models(context: dg.SensorEvaluationContext) -> list[str]:
    """The models of the code location, by their evaluations."""
    repository = context.repository_def
    if repository is None:
        return []
    keys = repository.asset_graph.get_all_asset_keys()
    return sorted(key.path[0] for key in keys if key.path[1:] == ["evaluation"])


def _tell(notifier: Notifier, events: Iterable[Announcement]) -> Told:
    told = Told()
    for event in events:
        if notifier.is_told(event):
            continue
        if told.delivered == MESSAGES:
            told.is_all = False
            break
        outcome = notifier.announce(event)
        if outcome is None:
            continue
        if outcome.result == "delivered":
            told.delivered += 1
            continue
        # One attempt that failed is enough for a tick, so that it ends in time.
        told.failure, told.is_all = outcome, False
        break
    return told


def _conclude(
    context: dg.SensorEvaluationContext,
    before: Progress,
    after: Progress,
    told: Told,
    now: float,
) -> dg.SensorResult:
    words = _words(told)
    if told.failure is None:
        # Until all is told it is looked for again from the same place.
        return _result(words, after if told.is_all else _rested(before))
    context.log.warning(f"an announcement failed: {told.failure.reason}")
    failures = 1 if told.delivered else before.failures + 1
    wait = max(
        min(FIRST_WAIT * 2 ** (failures - 1), LONGEST_WAIT), told.failure.retry_after
    )
    waiting = msgspec.structs.replace(before, failures=failures, wait_until=now + wait)
    return _result(words, waiting)


def _rested(progress: Progress) -> Progress:
    return msgspec.structs.replace(progress, failures=0, wait_until=0.0)


def _words(told: Told) -> str:
    text = f"{told.delivered} announced" if told.delivered else "nothing new"
    if told.failure is None:
        return text
    return f"{text}; one failed: {told.failure.reason}{AFTER[told.failure.result]}"


def _result(reason: str, progress: Progress) -> dg.SensorResult:
    cursor = msgspec.json.encode(progress).decode()
    return dg.SensorResult(skip_reason=reason, cursor=cursor)
