"""How our processes write log lines: JSON in the Elastic Common Schema, or text.

Names are dotted, as in ``"log.level"``: a line can be read with grep, and Filebeat and
Elasticsearch take the dots for objects.
"""

import json
import logging
import os
import sys
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any

from ecs_logging import StdlibFormatter

from ml_assets.core.redaction import Redactor

VARIABLE = "ML_ASSETS_LOG"
SERVICE = "ml-assets"
# What is the same in every line, or is about our code and not about what happened.
_LEFT_OUT = ("log.original", "log.origin", "process.thread", "process.name")
_FIRST = ("@timestamp", "log.level", "message")
_STANDARD = frozenset(logging.LogRecord("", 0, "", 0, "", (), None).__dict__)

# Fields of every line that is written while a request is answered.
context: ContextVar[Mapping[str, str]] = ContextVar("log_context", default={})


class EcsFormatter(StdlibFormatter):
    """Formats a record as one line, without any secret.

    ``extra={"fields": {...}}`` adds dotted names; nothing else that libraries attach to
    a record is written.

    Parameters
    ----------
    dataset
        ``event.dataset``: which kind of process writes.
    includes_errors
        Whether the message of an exception is written. Where it may hold a caller's
        values, only its type and its stack trace are.
    """

    def __init__(self, dataset: str, includes_errors: bool = False) -> None:
        left_out = _LEFT_OUT if includes_errors else (*_LEFT_OUT, "error.message")
        super().__init__(exclude_fields=left_out)
        self._always = {"service.name": SERVICE, "event.dataset": dataset}
        self._hide = Redactor()

    def fields(self, record: logging.LogRecord) -> dict[str, Any]:
        """Fields of `record` beside its message; ``message`` among them replaces it."""
        found: dict[str, Any] = getattr(record, "fields", {})
        return found

    def format(self, record: logging.LogRecord) -> str:
        """The line of `record`."""
        plain = {name: record.__dict__.get(name) for name in _STANDARD}
        given = {**context.get(), **self._always, **self.fields(record)}
        if "message" in given:
            plain |= {"msg": given.pop("message"), "args": ()}
        if isinstance(plain["exc_info"], str):
            # Dagster writes the exceptions of its sensors into the record.
            given["error.stack_trace"], plain["exc_info"] = plain["exc_info"], None
        # Not by the factory of records, to which Ray adds a field of its own.
        bare = logging.LogRecord("", 0, "", 0, "", (), None)
        bare.__dict__.update(plain)
        found = self.format_to_ecs(bare)
        line = {**_flat(found), **given}
        first = {name: line.pop(name) for name in _FIRST}
        return json.dumps(self._clean({**first, **line}), default=str)

    def _clean(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._hide(value)
        if isinstance(value, dict):
            return {name: self._clean(item) for name, item in value.items()}
        if isinstance(value, list | tuple):
            return [self._clean(item) for item in value]
        return value


def labelled(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Fields by their ECS names; what has no dot is a label of ours.

    A double underscore in a name stands for a dot.

    Examples
    --------
    >>> labelled({"server__port": 8080, "model": "churn", "reason": "no bundle"})
    {'server.port': 8080, 'labels.model': 'churn', 'event.reason': 'no bundle'}
    """
    found = {}
    for name, value in fields.items():
        dotted = "event.reason" if name == "reason" else name.replace("__", ".")
        found[dotted if "." in dotted else f"labels.{dotted}"] = value
    return found


class TextFormatter(logging.Formatter):
    """A line for a person, with the fields behind the message."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:
        """The line without its exception."""
        given: dict[str, Any] = getattr(record, "fields", {})
        fields = (f"{name}={value}" for name, value in given.items())
        return " ".join((super().formatMessage(record), *fields))


def configure(dataset: str, levels: Mapping[str, int]) -> None:
    """Send the lines of some loggers to standard output.

    Parameters
    ----------
    dataset
        ``event.dataset`` of each line, such as ``ml-assets.server``.
    levels
        Logger to the lowest level that it writes.
    """
    handler = logging.StreamHandler(sys.stdout)
    text = os.environ.get(VARIABLE) == "text"
    handler.setFormatter(TextFormatter() if text else EcsFormatter(dataset))
    for name, level in levels.items():
        target = logging.getLogger(name)
        target.handlers = [handler]
        target.propagate = False
        target.setLevel(level)


def write(
    logger: logging.Logger, message: str, level: int = logging.INFO, **fields: object
) -> None:
    """Write one line, whose fields are named as by `labelled`."""
    logger.log(level, message, extra={"fields": labelled(fields)})


def _flat(fields: Mapping[str, Any], stem: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in fields.items():
        if isinstance(value, Mapping):
            found |= _flat(value, f"{stem}{name}.")
        else:
            found[f"{stem}{name}"] = value
    return found
