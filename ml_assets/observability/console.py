"""JSON lines from every logger of a process that others configure.

Dagster's daemon, webserver, code servers and runs, and the libraries in them, each
choose formatters of their own. Where ``ML_ASSETS_LOG`` is ``json``, what they write to
the console is formatted here instead, whatever they chose, and written once.
"""

import logging
import sys
import threading
from types import TracebackType
from typing import Any

from ml_assets.observability.dagster_logs import DagsterLines

_CONSOLE = (1, 2)
# On a record that is on the console already, and on what Dagster attaches to it.
_MARK = "ml_assets_on_console"


def install() -> None:
    """Make this process write JSON lines, also of warnings and of what kills it."""
    lines = DagsterLines()
    usual = logging.StreamHandler.format
    write = logging.StreamHandler.emit

    def format_record(self: Any, record: logging.LogRecord) -> str:
        is_console = _is_console(self.stream)
        return lines.format(record) if is_console else usual(self, record)

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
    sys.excepthook = _tell
    threading.excepthook = _tell_thread


def _is_console(stream: Any) -> bool:
    try:
        return stream.fileno() in _CONSOLE
    except (AttributeError, OSError, ValueError):
        # Not a file: a buffer of a test or of a notebook.
        return False


def _is_again(record: logging.LogRecord) -> bool:
    """Whether another handler wrote `record`; after this call one did."""
    # Dagster logs the records of a step once more: what it attaches is in both.
    about = getattr(record, "dagster_meta", None) or {}
    is_again = _MARK in record.__dict__ or _MARK in about
    record.__dict__[_MARK] = about[_MARK] = True
    return is_again


def _tell(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    logging.getLogger("python").critical(
        "the process ends by an exception", exc_info=(kind, error, trace)
    )


def _tell_thread(failed: threading.ExceptHookArgs) -> None:
    error = failed.exc_value
    logging.getLogger("python").error("a thread ended by an exception", exc_info=error)
