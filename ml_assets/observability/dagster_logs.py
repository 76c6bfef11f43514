"""Log lines of Dagster's processes: its daemon and webserver, runs and steps.

What Dagster attaches to a record says which run, step and asset it is about. It is read
here without importing Dagster: every process that writes lines imports this module.
"""

import logging
from collections.abc import Iterator
from typing import Any

from ml_assets.core.logs import EcsFormatter
from ml_assets.observability.trace_ids import span_of, trace_of

# Tags of a run that are ours, by the label that shows them.
_TAGS = {
    "model": "labels.model",
    "version": "labels.version",
    "dagster/partition": "labels.partition",
}
_NANOSECONDS = 1_000_000


class DagsterLines(EcsFormatter):
    """Formats what Dagster logs, and what libraries log in its processes."""

    def __init__(self) -> None:
        super().__init__("ml-assets.dagster", includes_errors=True)

    def fields(self, record: logging.LogRecord) -> dict[str, Any]:
        """Fields of the run, the step, the event and its error."""
        found = super().fields(record)
        about = getattr(record, "dagster_meta", None) or {}
        run = about.get("run_id")
        if not run:
            # A line of the daemon, or of a sensor or schedule.
            return found
        event, step = about["dagster_event"], about["step_key"]
        return {
            **found,
            "message": about["orig_message"],
            "event.dataset": "ml-assets.run",
            "trace.id": trace_of(run),
            "span.id": span_of(run, step, 1) if step else span_of(run),
            "labels.run_id": run,
            "labels.job": about["job_name"],
            **({"labels.step": step} if step else {}),
            **_tags(about["job_tags"]),
            **(dict(_told(event)) if event is not None else {}),
        }


def _tags(tags: dict[str, str]) -> dict[str, str]:
    return {label: tags[tag] for tag, label in _TAGS.items() if tag in tags}


def _told(event: Any) -> Iterator[tuple[str, Any]]:
    """What one event says: its kind, its asset, how long it took, why it failed."""
    yield "event.action", event.event_type_value.lower()
    data = event.event_specific_data
    asset = event.asset_key or getattr(data, "asset_key", None)
    if asset is not None:
        yield "labels.asset", asset.to_user_string()
    if event.event_type_value == "ASSET_CHECK_EVALUATION":
        # Dagster's message holds the check's description, which may show values.
        said = "passed" if data.passed else "did not pass"
        checked = data.asset_key.to_user_string()
        yield "message", f"check {data.check_name} of {checked} {said}"
        yield "labels.check", data.check_name
        yield "event.outcome", "success" if data.passed else "failure"
    version = _version(event)
    if version:
        yield "labels.version", version
    duration = getattr(data, "duration_ms", None)
    if duration is not None:
        yield "event.duration", round(duration * _NANOSECONDS)
    if getattr(data, "error", None) is not None:
        cause = first_cause(data.error)
        yield "error.type", kind_of(cause)
        yield "error.message", cause.message.strip()
        yield "error.stack_trace", "".join(cause.stack)


def _version(event: Any) -> str | None:
    """The version that a materialization says it is about."""
    data = event.event_specific_data
    metadata = getattr(getattr(data, "materialization", None), "metadata", {})
    return str(metadata["version"].value) if "version" in metadata else None


def first_cause(error: Any) -> Any:
    """The exception that began it, among those that Dagster wrapped it in."""
    while error.cause is not None:
        error = error.cause
    return error


def kind_of(error: Any) -> str:
    """Name of an exception's class, without its module."""
    return str(error.cls_name or "Exception").rpartition(".")[2]
