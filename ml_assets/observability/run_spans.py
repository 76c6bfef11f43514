"""The spans of a Dagster run and of its steps, made from its event log alone.

Materializations, observations, checks and exceptions are events of their step's span.
"""

from collections.abc import Iterable
from typing import Any

from dagster import AssetKey, DagsterEvent, DagsterRun, EventLogEntry

from ml_assets.core.redaction import Redactor
from ml_assets.core.tracing.spans import Attribute, Link, Span, SpanEvent
from ml_assets.observability.dagster_records import (
    class_name,
    root_cause,
    span_id_of,
    trace_id_of,
)

# Events of one span: OpenTelemetry's own limit.
MAX_EVENTS = 128
# Longer texts of exceptions are cut.
MAX_TEXT = 4096
_PHASES = {
    "PIPELINE_ENQUEUED": "queued",
    "PIPELINE_DEQUEUED": "launched",
    "PIPELINE_STARTING": "launched",
}
_ENDS = ("PIPELINE_SUCCESS", "PIPELINE_FAILURE", "PIPELINE_CANCELED")
_TAGS = {
    "model": "ml_assets.model",
    "version": "ml_assets.version",
    "dagster/partition": "dagster.partition",
    "dagster/schedule_name": "dagster.schedule",
    "dagster/sensor_name": "dagster.sensor",
    "dagster/retry_number": "dagster.retry_number",
}


class _Open:
    """A span that has begun."""

    def __init__(self, name: str, id_: str, start: int) -> None:
        self.name = name
        self.id = id_
        self.start = start
        self.attributes: dict[str, Attribute] = {}
        self.events: list[SpanEvent] = []
        self.left_out = 0

    def add(self, name: str, time: int, **attributes: Attribute) -> None:
        if len(self.events) == MAX_EVENTS:
            self.left_out += 1
            return
        dotted = {key.replace("__", "."): item for key, item in attributes.items()}
        self.events.append(SpanEvent(name, time, dotted))


class RunSpans:
    """Makes the spans of `run` from its events, in the order of the event log."""

    def __init__(self, run: DagsterRun) -> None:
        self.run = run
        self.trace = trace_id_of(run.run_id)
        # Model and version of each deployment and training in the run.
        self.versions: set[tuple[str, str]] = set()
        self._root = _Open(run.job_name, span_id_of(run.run_id), 0)
        self._has_begun = False
        self._phase: _Open | None = None
        self._steps: dict[str, _Open] = {}
        self._attempts: dict[str, int] = {}
        self._done: list[Span] = []
        self._end = 0
        self._error: str | None = None
        self._hide = Redactor()

    def read(self, entries: Iterable[EventLogEntry]) -> None:
        """Read the next events."""
        for entry in entries:
            if entry.dagster_event is not None:
                # Six digits are what the log keeps.
                time = round(entry.timestamp * 1e6) * 1000
                self._read(entry.dagster_event, time)

    def spans(self, links: Iterable[Link] = ()) -> list[Span]:
        """All spans of the run, the run itself first."""
        self._close_phase(self._end)
        for step in list(self._steps):
            self._close(step, self._end, "the step did not end")
        return [self._root_span(links), *self._done]

    def _read(self, event: DagsterEvent, time: int) -> None:
        kind, step = event.event_type_value, event.step_key
        if not self._has_begun:
            self._root.start, self._has_begun = time, True
        self._end = max(self._end, time)
        if kind in _PHASES:
            self._begin_phase(_PHASES[kind], time)
        elif kind == "PIPELINE_START":
            self._close_phase(time)
        elif kind in _ENDS:
            self._finish(event, time)
        elif step is None:
            self._add_event(self._root, event, time)
        elif kind in ("STEP_START", "STEP_RESTARTED"):
            self._begin(step, time)
        elif kind == "STEP_SKIPPED":
            self._root.add("step skipped", time, dagster__step=step)
        elif step in self._steps:
            self._in_step(step, event, time)

    def _in_step(self, step: str, event: DagsterEvent, time: int) -> None:
        match event.event_type_value:
            case "STEP_SUCCESS":
                self._close(step, time)
            case "STEP_FAILURE" | "STEP_UP_FOR_RETRY":
                error = self._add_exception(self._steps[step], event, time)
                self._close(step, time, error)
            case _:
                self._add_event(self._steps[step], event, time)

    def _begin(self, step: str, time: int) -> None:
        self._close(step, time, "the step did not end")
        attempt = self._attempts[step] = self._attempts.get(step, 0) + 1
        opened = _Open(step, span_id_of(self.run.run_id, step, attempt), time)
        opened.attributes = {"dagster.step": step, "dagster.attempt": attempt}
        self._steps[step] = opened

    def _begin_phase(self, name: str, time: int) -> None:
        if self._phase is not None and self._phase.name == name:
            return
        self._close_phase(time)
        self._phase = _Open(name, span_id_of(self.run.run_id, "phase", name), time)

    def _close_phase(self, time: int) -> None:
        if self._phase is not None:
            self._done.append(self._child(self._phase, time))
            self._phase = None

    def _close(self, step: str, time: int, error: str | None = None) -> None:
        opened = self._steps.pop(step, None)
        if opened is not None:
            self._done.append(self._child(opened, time, error))

    def _child(self, opened: _Open, end: int, error: str | None = None) -> Span:
        attributes = {"dagster.run_id": self.run.run_id, **opened.attributes}
        if opened.left_out:
            attributes["dagster.moments_left_out"] = opened.left_out
        return Span(
            self.trace,
            opened.id,
            self._root.id,
            opened.name,
            opened.start,
            max(end, opened.start),
            attributes,
            events=opened.events,
            error=error,
        )

    def _finish(self, event: DagsterEvent, time: int) -> None:
        self._end = time
        if event.event_type_value == "PIPELINE_FAILURE":
            error = getattr(event.event_specific_data, "error", None)
            if error is not None:
                self._add_exception(self._root, event, time)
            self._error = self._hide(event.message or "the run failed")[:MAX_TEXT]

    def _root_span(self, links: Iterable[Link]) -> Span:
        run = self.run
        self._root.attributes |= {
            "dagster.job": run.job_name,
            "dagster.status": run.status.value,
        }
        tagged = {name: run.tags[tag] for tag, name in _TAGS.items() if tag in run.tags}
        self._root.attributes |= tagged
        if "ml_assets.version" not in tagged and len(self.versions) == 1:
            ((model, version),) = self.versions
            named = {"ml_assets.model": model, "ml_assets.version": version}
            self._root.attributes |= named
        span = self._child(self._root, self._end, self._error)
        return span._replace(parent=None, links=[*links])

    def _add_event(self, opened: _Open, event: DagsterEvent, time: int) -> None:
        """Add the event of a materialization, an observation or a check."""
        data: Any = event.event_specific_data
        match event.event_type_value:
            case "ASSET_MATERIALIZATION":
                found = data.materialization
                self._add_version(found.asset_key, found.metadata)
                opened.add("materialization", time, **_asset(found))
            case "ASSET_OBSERVATION":
                opened.add("observation", time, **_asset(data.asset_observation))
            case "ASSET_CHECK_EVALUATION":
                opened.add(
                    "check",
                    time,
                    dagster__asset=data.asset_key.to_user_string(),
                    dagster__check=data.check_name,
                    dagster__passed=data.passed,
                    dagster__severity=data.severity.value,
                )

    def _add_version(self, asset: AssetKey, metadata: Any) -> None:
        for name in ("challenger", "version"):
            if name in metadata:
                self.versions.add((asset.path[0], str(metadata[name].value)))
                return

    def _add_exception(self, opened: _Open, event: DagsterEvent, time: int) -> str:
        """Add the exception as OpenTelemetry defines it; returns its message."""
        data: Any = event.event_specific_data
        if data is None or data.error is None:
            return self._hide(event.message or "the step failed")[:MAX_TEXT]
        cause = root_cause(data.error)
        message = self._hide(cause.message.strip())[:MAX_TEXT]
        opened.add(
            "exception",
            time,
            exception__type=class_name(cause),
            exception__message=message,
            exception__stacktrace=self._hide("".join(cause.stack))[:MAX_TEXT],
        )
        return message


def _asset(found: Any) -> dict[str, Attribute]:
    """Attributes of a materialization or observation, without texts of its metadata."""
    key = found.asset_key.to_user_string()
    attributes: dict[str, Attribute] = {"dagster__asset": key}
    if found.partition:
        attributes["dagster__partition"] = found.partition
    rows = found.metadata.get("dagster/row_count")
    if rows is not None:
        attributes["dagster__row_count"] = int(rows.value)
    return attributes
