"""Ids of traces and spans that follow from what they are about.

A run that is told twice, by a log line and by a trace or by an exporter that was
started again, has the same ids both times.
"""

import uuid
from hashlib import sha256


def trace_of(run_id: str) -> str:
    """The trace of a Dagster run as 32 hexadecimal digits: its id without the dashes.

    Examples
    --------
    >>> trace_of("00000000-0000-4000-8000-00000000002a")
    '0000000000004000800000000000002a'
    """
    try:
        return uuid.UUID(run_id).hex
    except ValueError:
        # Whoever makes a run may choose its id.
        return sha256(run_id.encode()).hexdigest()[:32]


def span_of(run_id: str, *parts: str | int) -> str:
    """The span of a part of a run as 16 hexadecimal digits; without parts, its root.

    Examples
    --------
    >>> span_of("r", "churn__model", 1) == span_of("r", "churn__model", 1)
    True
    >>> span_of("r", "churn__model", 1) == span_of("r", "churn__model", 2)
    False
    """
    text = "\0".join(map(str, (run_id, *parts)))
    return sha256(text.encode()).hexdigest()[:16]
