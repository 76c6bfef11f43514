"""Log lines: one JSON object each, in the fields of the Elastic Common Schema.

Names are dotted, as in ``"log.level"``: a line can be read with grep, and Filebeat and
Elasticsearch take the dots for objects.
"""

import json
import logging
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any

from ecs_logging import StdlibFormatter

from ml_assets.core.redaction import Redactor

SERVICE = "ml-assets"
# What is the same in every line, or says where our code stands and not what happened.
_LEFT_OUT = ("log.original", "log.origin", "process.thread", "process.name")
_FIRST = ("@timestamp", "log.level", "message")
_STANDARD = frozenset(logging.LogRecord("", 0, "", 0, "", (), None).__dict__)

# Fields of every line that is written while a request is answered.
context: ContextVar[Mapping[str, str]] = ContextVar("log_context", default={})


class EcsLines(StdlibFormatter):
    """Formats a record as one line, without any secret.

    ``extra={"fields": {...}}`` adds dotted names; nothing else that libraries attach to
    a record is told.

    Parameters
    ----------
    dataset
        ``event.dataset``: which kind of process writes.
    tells_errors
        Whether the message of an exception is told. Where it may hold a caller's
        values, only its type and place are.
    """

    def __init__(self, dataset: str, tells_errors: bool = False) -> None:
        left_out = _LEFT_OUT if tells_errors else (*_LEFT_OUT, "error.message")
        super().__init__(exclude_fields=left_out)
        self._always = {"service.name": SERVICE, "event.dataset": dataset}
        self._hide = Redactor()

    def fields(self, record: logging.LogRecord) -> dict[str, Any]:
        """What `record` says beside its message; it may take the message's place."""
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


def _flat(fields: Mapping[str, Any], stem: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in fields.items():
        if isinstance(value, Mapping):
            found |= _flat(value, f"{stem}{name}.")
        else:
            found[f"{stem}{name}"] = value
    return found
