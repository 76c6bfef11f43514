"""JSON lines from every logger of a process that others configure.

Dagster's daemon, webserver, code servers and runs, and the libraries in them, each
choose formatters of their own. Where ``ML_ASSETS_LOG`` is ``json``, what they write to
the console is formatted here instead, whatever they chose.
"""

import logging
import sys
import threading
from types import TracebackType
from typing import Any

from ml_assets.telemetry.dagster_lines import DagsterLines

_CONSOLE = (1, 2)


def install() -> None:
    """Make this process write JSON lines, also of warnings and of what kills it."""
    lines = DagsterLines()
    usual = logging.StreamHandler.format

    def format_record(self: Any, record: logging.LogRecord) -> str:
        is_console = _is_console(self.stream)
        return lines.format(record) if is_console else usual(self, record)

    # A handler gets its formatter from whoever makes it, so the handlers' class is
    # where all of them can be reached.
    logging.StreamHandler.format = format_record  # type: ignore[method-assign]
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


def _tell(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    logging.getLogger("python").critical(
        "the process ends by an exception", exc_info=(kind, error, trace)
    )


def _tell_thread(failed: threading.ExceptHookArgs) -> None:
    error = failed.exc_value
    logging.getLogger("python").error("a thread ended by an exception", exc_info=error)
