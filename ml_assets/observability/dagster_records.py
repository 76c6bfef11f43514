"""What log lines and traces share of a Dagster run: its ids, and the cause of an error.

Every process that writes log lines imports this module, so it does not import Dagster.
"""

import uuid
from hashlib import sha256
from typing import Any


def trace_id_of(run_id: str) -> str:
    """The trace of a Dagster run as 32 hexadecimal digits: its id without the dashes.

    Ids follow from the run, so that log lines have those of the trace, and a trace that
    is sent twice has the same ids.

    Examples
    --------
    >>> trace_id_of("00000000-0000-4000-8000-00000000002a")
    '0000000000004000800000000000002a'
    """
    try:
        return uuid.UUID(run_id).hex
    except ValueError:
        # Whoever makes a run may choose its id.
        return sha256(run_id.encode()).hexdigest()[:32]


def span_id_of(run_id: str, *parts: str | int) -> str:
    """The span of a part of a run as 16 hexadecimal digits; without parts, its root.

    Examples
    --------
    >>> span_id_of("r", "churn__model", 1) == span_id_of("r", "churn__model", 1)
    True
    >>> span_id_of("r", "churn__model", 1) == span_id_of("r", "churn__model", 2)
    False
    """
    text = "\0".join(map(str, (run_id, *parts)))
    return sha256(text.encode()).hexdigest()[:16]


def root_cause(error: Any) -> Any:
    """The innermost cause of a ``SerializableErrorInfo``."""
    while error.cause is not None:
        error = error.cause
    return error


def class_name(error: Any) -> str:
    """Name of the exception's class, without its module."""
    return str(error.cls_name or "Exception").rpartition(".")[2]
