"""JSON log lines of Dagster's processes: daemon, webserver, code servers and runs.

Dagster, and the libraries in its processes, each choose formatters of their own. Where
``ML_ASSETS_LOG`` is ``json``, what they write to the console is formatted here instead,
and written once. `install` does so in each Python process that reads
``site/sitecustomize.py``, hence this module does not import Dagster.
"""

import logging
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from ml_assets.core.logs import VARIABLE, EcsFormatter
from ml_assets.observability.dagster_records import (
    class_name,
    root_cause,
    span_id_of,
    trace_id_of,
)

# Directory of the sitecustomize.py.
SITE = Path(__file__).with_name("site")
# Tags of a run that become labels.
_TAGS = {
    "model": "labels.model",
    "version": "labels.version",
    "dagster/partition": "labels.partition",
}
_NANOSECONDS = 1_000_000
_CONSOLE = (1, 2)
# Set on a record that was written to the console, and on its ``dagster_meta``.
_WRITTEN = "ml_assets_on_console"


def json_environment() -> dict[str, str]:
    """Variables with which Dagster's programs write JSON lines.

    Every process that they start inherits them.
    """
    others = os.environ.get("PYTHONPATH", "")
    paths = [str(SITE), *(part for part in others.split(os.pathsep) if part)]
    return {VARIABLE: "json", "PYTHONPATH": os.pathsep.join(dict.fromkeys(paths))}


class DagsterFormatter(EcsFormatter):
    """Formats the log records of Dagster and of the libraries in its processes."""

    def __init__(self) -> None:
        super().__init__("ml-assets.dagster", includes_errors=True)

    def fields(self, record: logging.LogRecord) -> dict[str, Any]:
        """Fields of the run, the step, the event and its error."""
        found = super().fields(record)
        meta = getattr(record, "dagster_meta", None) or {}
        run = meta.get("run_id")
        if not run:
            # A record of the daemon, or of a sensor or schedule.
            return found
        event, step = meta["dagster_event"], meta["step_key"]
        tags = meta["job_tags"]
        return {
            **found,
            "message": meta["orig_message"],
            "event.dataset": "ml-assets.run",
            "trace.id": trace_id_of(run),
            "span.id": span_id_of(run, step, 1) if step else span_id_of(run),
            "labels.run_id": run,
            "labels.job": meta["job_name"],
            **({"labels.step": step} if step else {}),
            **{label: tags[tag] for tag, label in _TAGS.items() if tag in tags},
            **(dict(_event_fields(event)) if event is not None else {}),
        }


def _event_fields(event: Any) -> Iterator[tuple[str, Any]]:
    """The type of a Dagster event, its asset, its duration and its error."""
    yield "event.action", event.event_type_value.lower()
    data = event.event_specific_data
    asset = event.asset_key or getattr(data, "asset_key", None)
    if asset is not None:
        yield "labels.asset", asset.to_user_string()
    if event.event_type_value == "ASSET_CHECK_EVALUATION":
        # Dagster's message holds the check's description, which may show values.
        result = "passed" if data.passed else "did not pass"
        checked = data.asset_key.to_user_string()
        yield "message", f"check {data.check_name} of {checked} {result}"
        yield "labels.check", data.check_name
        yield "event.outcome", "success" if data.passed else "failure"
    metadata = getattr(getattr(data, "materialization", None), "metadata", {})
    if "version" in metadata and metadata["version"].value:
        yield "labels.version", str(metadata["version"].value)
    duration = getattr(data, "duration_ms", None)
    if duration is not None:
        yield "event.duration", round(duration * _NANOSECONDS)
    if getattr(data, "error", None) is not None:
        cause = root_cause(data.error)
        yield "error.type", class_name(cause)
        yield "error.message", cause.message.strip()
        yield "error.stack_trace", "".join(cause.stack)


def install() -> None:
    """Make this process write JSON lines, also of warnings and uncaught exceptions."""
    formatter = DagsterFormatter()
    usual = logging.StreamHandler.format
    write = logging.StreamHandler.emit

    def format_record(self: Any, record: logging.LogRecord) -> str:
        is_console = _is_console(self.stream)
        return formatter.format(record) if is_console else usual(self, record)

    def emit(self: Any, record: logging.LogRecord) -> None:
        if not (_is_console(self.stream) and _is_again(record)):
            write(self, record)

    # A handler gets its formatter from whoever makes it, so the handlers' class is
    # where all of them can be reached.
    logging.StreamHandler.format = format_record  # type: ignore[method-assign]
    # A logger with a handler of its own hands its records on to the root logger too,
    # and that gets a handler from any library's first `logging.warning()`, such as
    # Dagster's when its database does not answer.
    logging.StreamHandler.emit = emit  # type: ignore[method-assign]
    logging.captureWarnings(True)
    warned = logging.getLogger("py.warnings")
    warned.addHandler(logging.StreamHandler())
    warned.propagate = False
    sys.excepthook = _log_exception
    threading.excepthook = _log_thread_exception


def _is_console(stream: Any) -> bool:
    try:
        return stream.fileno() in _CONSOLE
    except (AttributeError, OSError, ValueError):
        # Not a file: a buffer of a test or of a notebook.
        return False


def _is_again(record: logging.LogRecord) -> bool:
    """Whether another handler wrote `record`; marks it as written."""
    # Dagster logs the records of a step once more, with the same ``dagster_meta``.
    meta = getattr(record, "dagster_meta", None) or {}
    is_again = _WRITTEN in record.__dict__ or _WRITTEN in meta
    record.__dict__[_WRITTEN] = meta[_WRITTEN] = True
    return is_again


def _log_exception(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    logging.getLogger("python").critical(
        "the process ends by an exception", exc_info=(kind, error, trace)
    )


def _log_thread_exception(failed: threading.ExceptHookArgs) -> None:
    error = failed.exc_value
    logging.getLogger("python").error("a thread ended by an exception", exc_info=error)
