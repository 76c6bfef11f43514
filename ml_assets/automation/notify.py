"""The sensor that sends notifications to Slack; no run waits for it."""

import time
from collections.abc import Sequence

import dagster as dg
import msgspec

from ml_assets.core.decoding import from_json
from ml_assets.observability.notifications import event_sources
from ml_assets.observability.notifications.messages import Notification
from ml_assets.observability.notifications.notifier import Notifier
from ml_assets.observability.notifications.slack import Outcome, from_environment
from ml_assets.state.ledger import Ledger

SENSOR_SECONDS = 15
# Slack takes about one message a second.
MESSAGES = 10
# With several writers an event can appear after one with a higher number. What is
# claimed is not sent again, so reading so many events again costs a query.
OVERLAP = 1_000
# Waits after attempts that failed one after the other: 15 s, 30 s, ..., at most 10 min.
FIRST_WAIT = 15.0
LONGEST_WAIT = 600.0
# Nothing is sent of older events.
STALE_SECONDS = 86_400.0
AFTER = {
    "undelivered": "; it is tried again",
    "refused": "; it would be refused again",
    "unknown": "; it may have arrived, so it is not sent again",
}
# The cursor while it is off; an empty one would leave the old one.
OFF = "off"
OFF_REASON = "SLACK_WEBHOOK is not set: nothing is sent"


class Progress(msgspec.Struct, frozen=True):
    """The sensor's cursor.

    `start` and `seen` are numbers of events: after which it began, and up to which all
    were sent; `ledgers` has the same by model. `failures` counts attempts that failed
    one after the other, and nothing is sent before `wait_until`.
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
            "Notifies Slack of failed runs, gate verdicts, deployments, rollbacks,"
            " drift and releases, each at most once."
        ),
    )
    def notifications(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        return tick(context)

    return dg.Definitions(sensors=[notifications])


def tick(context: dg.SensorEvaluationContext) -> dg.SensorResult:
    """Send what is new, oldest first."""
    channel = from_environment()
    if channel is None:
        # When it is switched on again, it does not begin with what was missed.
        return dg.SensorResult(skip_reason=OFF_REASON, cursor=OFF)
    now = time.time()
    if context.cursor in (None, "", OFF):
        return _result("it begins with what happens from now on", _begin(context))
    before = from_json(str(context.cursor), Progress)
    if now < before.wait_until:
        wait = before.wait_until - now
        return _result(f"Slack is tried again in {wait:.0f} s", before)
    after, found = _new(context, before)
    notifier = Notifier(channel)
    sent = _send(notifier, [item for item in found if now - item.time < STALE_SECONDS])
    notifier.forget_old(now)
    return _tick_result(context, before, after, sent, now)


class Sent(msgspec.Struct):
    """What a tick sent; `failure` ended it, and `is_all` if nothing is left."""

    delivered: int = 0
    failure: Outcome | None = None
    is_all: bool = True


def _begin(context: dg.SensorEvaluationContext) -> Progress:
    newest = event_sources.newest_event(context.instance)
    seen = {model: seq for model, (seq, _) in Ledger().newest().items()}
    return Progress(newest, newest, seen)


def _new(
    context: dg.SensorEvaluationContext, before: Progress
) -> tuple[Progress, list[Notification]]:
    """The notifications since `before`, oldest first, and the cursor after them."""
    instance = context.instance
    # First the number, then the events: one that comes meanwhile is read twice.
    seen, ledgers = event_sources.newest_event(instance), {**before.ledgers}
    found: list[Notification] = []
    for model, seq, notification in event_sources.decisions(before.ledgers):
        ledgers[model] = seq
        found += [] if notification is None else [notification]
    after = max(before.start, before.seen - OVERLAP)
    found += event_sources.failed_runs(instance, after)
    found += event_sources.of_models(instance, _models(context), after)
    progress = Progress(before.start, seen, ledgers)
    return progress, sorted(found, key=lambda item: item.time)


def _models(context: dg.SensorEvaluationContext) -> set[str]:
    """The models of the code location, by their evaluations."""
    repository = context.repository_def
    if repository is None:
        return set()
    keys = repository.asset_graph.get_all_asset_keys()
    return {key.path[0] for key in keys if key.path[1:] == ["evaluation"]}


def _send(notifier: Notifier, notifications: Sequence[Notification]) -> Sent:
    sent = Sent()
    for notification in notifier.unsent(notifications):
        if sent.delivered == MESSAGES:
            sent.is_all = False
            break
        outcome = notifier.notify(notification)
        if outcome is None:
            continue
        if outcome.result == "delivered":
            sent.delivered += 1
            continue
        # One attempt that failed is enough for a tick, so that it ends in time.
        sent.failure, sent.is_all = outcome, False
        break
    return sent


def _tick_result(
    context: dg.SensorEvaluationContext,
    before: Progress,
    after: Progress,
    sent: Sent,
    now: float,
) -> dg.SensorResult:
    reason = _summary(sent)
    if sent.failure is None:
        # Until all is sent, the next tick begins after the same events.
        return _result(reason, after if sent.is_all else _without_wait(before))
    context.log.warning(f"a notification failed: {sent.failure.reason}")
    failures = 1 if sent.delivered else before.failures + 1
    wait = max(
        min(FIRST_WAIT * 2 ** (failures - 1), LONGEST_WAIT), sent.failure.retry_after
    )
    waiting = msgspec.structs.replace(before, failures=failures, wait_until=now + wait)
    return _result(reason, waiting)


def _without_wait(progress: Progress) -> Progress:
    return msgspec.structs.replace(progress, failures=0, wait_until=0.0)


def _summary(sent: Sent) -> str:
    text = f"{sent.delivered} sent" if sent.delivered else "nothing new"
    if sent.failure is None:
        return text
    return f"{text}; one failed: {sent.failure.reason}{AFTER[sent.failure.result]}"


def _result(reason: str, progress: Progress) -> dg.SensorResult:
    cursor = msgspec.json.encode(progress).decode()
    return dg.SensorResult(skip_reason=reason, cursor=cursor)
