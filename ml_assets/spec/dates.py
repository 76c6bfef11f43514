"""Dates in a rule, as seconds that can be compared with those of a column."""

import datetime as dt
import re
from collections.abc import Mapping
from typing import Any

ISO = re.compile(r"\d{4}-\d{2}-\d{2}([T ].+)?")
EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def moment(value: Any) -> float | None:
    """Seconds since 1970 of a date, a time or an ISO 8601 text; None of another value.

    Examples
    --------
    >>> moment("1970-01-02"), moment("1970-01-01T02:00+01:00"), moment("2 Jan")
    (86400.0, 3600.0, None)
    """
    if isinstance(value, str):
        if not ISO.fullmatch(value):
            return None
        try:
            value = dt.datetime.fromisoformat(value)
        except ValueError:
            return None
    if not isinstance(value, dt.date):
        return None
    if not isinstance(value, dt.datetime):
        value = dt.datetime(value.year, value.month, value.day)
    if value.tzinfo is None:
        value = value.replace(tzinfo=dt.UTC)
    return float((value - EPOCH).total_seconds())


def told(value: Any) -> Any:
    """What Great Expectations tells of seconds, as dates again."""
    if isinstance(value, list | tuple | set):
        return [told(item) for item in value]
    if isinstance(value, Mapping):
        return {key: told(item) for key, item in value.items()}
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
        return value
    at = EPOCH + dt.timedelta(seconds=value)
    return at.replace(tzinfo=None).isoformat().removesuffix("T00:00:00")
