"""The timestamps that clients send, by one rule for every interface."""

import datetime as dt
import math
import re
import time

# Before it nobody was asked anything; numbers below it are no seconds.
FIRST_TIMESTAMP = 946_684_800
# The end of the year 9999, beyond which there is no date.
LAST_TIMESTAMP = 253_402_300_799
# How far a client's clock may be ahead.
AHEAD_SECONDS = 86_400.0
EXPECTED = "a time in ISO 8601 or unix seconds from the year 2000 to now"
_UNITS = ((1e17, "nanoseconds"), (1e14, "microseconds"), (1e11, "milliseconds"))
_NUMBER = re.compile(
    r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?(nan|inf|infinity)", re.A | re.I
)
_DATE = re.compile(
    r"(19|20|21)\d\d(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])(\d\d){0,3}(\.0+)?", re.ASCII
)


class NotATime(ValueError):
    """What was sent is no time; `found` describes it, and repeats no long text."""

    def __init__(self, found: str) -> None:
        super().__init__(f"expected {EXPECTED}, found {found}")
        self.found = found


def unix_seconds(value: object, now: float | None = None) -> float:
    """Unix seconds of a number, a date, or a text in ISO 8601; UTC where it is open.

    Parameters
    ----------
    value : object
        As a JSON or a file holds it.
    now : float, optional
        Unix seconds; a day after it begins what is refused as the future.

    Raises
    ------
    NotATime
        It is no time, lies before 2000 or in the future, or looks like another unit
        or like a date without dashes. The message names which.

    Examples
    --------
    >>> unix_seconds("2026-11-27T09:30:00Z", now=1.8e9)
    1795771800.0
    >>> unix_seconds(1_795_771_800_000, now=1.8e9)
    Traceback (most recent call last):
    ...
    ml_assets.serving.requests.timestamps.NotATime: expected a time in ISO 8601 or \
unix seconds from the year 2000 to now, found a number that looks like milliseconds; \
divide it
    """
    seconds = _seconds(value)
    if not math.isfinite(seconds):
        raise NotATime("a number that is not finite")
    if seconds < FIRST_TIMESTAMP:
        raise NotATime("a time before the year 2000")
    now = time.time() if now is None else now
    if seconds > now + AHEAD_SECONDS:
        raise NotATime("a time in the future; is a clock ahead?")
    return seconds


def _seconds(value: object) -> float:
    if isinstance(value, dt.datetime):
        aware = value if value.tzinfo else value.replace(tzinfo=dt.UTC)
        return aware.timestamp()
    if isinstance(value, dt.date):
        return _seconds(dt.datetime(value.year, value.month, value.day))
    if isinstance(value, str):
        return _of_text(value.strip())
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise NotATime(_kind(value))
    return _of_number(value)


def _of_text(text: str) -> float:
    if _NUMBER.fullmatch(text):
        return _of_number(float(text), text)
    try:
        return _seconds(dt.datetime.fromisoformat(text))
    except (ValueError, OverflowError):
        raise NotATime("another string") from None


def _of_number(value: float, text: str = "") -> float:
    if _DATE.fullmatch(text or str(value)):
        raise NotATime("a number that looks like a date; write it as 2026-11-27")
    for least, unit in _UNITS:
        if value >= least and math.isfinite(value):
            raise NotATime(f"a number that looks like {unit}; divide it")
    return float(value)


def _kind(value: object) -> str:
    if value is None:
        return "null"
    return "a boolean" if isinstance(value, bool) else f"a {type(value).__name__}"
