"""The canonical text of a value, whether it came as a text, a number or a boolean.

A file of CSV holds texts, one of Parquet numbers, and a caller's JSON has either. Which
of a version's categories, or of its labels, they mean is decided here.
"""

import datetime as dt
import re
from collections.abc import Mapping
from functools import lru_cache

TRUE = ("true", "True", "TRUE")
FALSE = ("false", "False", "FALSE")
# What Booleans are where a cell is missing.
BOOLEANS = frozenset({"False", "True"})
_BOOLEANS = dict.fromkeys(TRUE, True) | dict.fromkeys(FALSE, False)
# A zero in front makes a code of it: 01234 is another than 1234.
_NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?", re.ASCII)
_TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d\S*", re.ASCII)


def as_boolean(value: object) -> bool | None:
    """A boolean in any notation that training reads as one; else None.

    Examples
    --------
    >>> as_boolean("TRUE"), as_boolean(False), as_boolean("yes"), as_boolean(1)
    (True, False, None, None)
    """
    if isinstance(value, bool):
        return value
    return _BOOLEANS.get(value.strip()) if isinstance(value, str) else None


def number_text(value: float) -> str:
    """A number as a category: a whole one has no fraction.

    Examples
    --------
    >>> number_text(3), number_text(3.0), number_text(2.5)
    ('3', '3', '2.5')
    """
    whole = isinstance(value, float) and value.is_integer()
    return str(int(value) if whole else value)


def timestamp_text(text: str) -> str:
    """A point in time in ISO 8601 with its ``T``; any other text as it is.

    Examples
    --------
    >>> timestamp_text("2026-11-27 09:30"), timestamp_text("27 November")
    ('2026-11-27T09:30:00', '27 November')
    """
    if not _TIMESTAMP.fullmatch(text):
        return text
    try:
        return dt.datetime.fromisoformat(text).isoformat()
    except ValueError:
        return text


def canonical_text(value: object) -> str | None:
    """The one text of a value in all its notations; None where it can be no category.

    Examples
    --------
    >>> [canonical_text(value) for value in ("3.0", 3, "03", True)]
    ['3', '3', '03', 'True']
    """
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, int | float):
        return number_text(value)
    if not isinstance(value, str):
        return None
    text = value.strip()
    if _NUMBER.fullmatch(text):
        # The digits of an id must not be rounded.
        return text.rstrip("0").rstrip(".") if "." in text else text
    return timestamp_text(text)


def match_category(categories: tuple[str, ...], value: object) -> str | None:
    """Which of `categories` a value is, in any notation; None if none.

    Examples
    --------
    >>> match_category(("1", "2"), 2.0), match_category(("01", "02"), "01")
    ('2', '01')
    >>> match_category(("01",), 1)
    >>> match_category(("False", "True"), "TRUE")
    'True'
    """
    known = _by_text(categories)
    if isinstance(value, str) and value in known:
        return known[value]
    if BOOLEANS.issuperset(categories) and (found := as_boolean(value)) is not None:
        value = found
    text = canonical_text(value)
    return None if text is None else known.get(text)


@lru_cache(maxsize=4_096)
def _by_text(categories: tuple[str, ...]) -> Mapping[str, str]:
    """Exact texts first; a canonical text that two categories share means neither."""
    alike: dict[str, list[str]] = {}
    for name in categories:
        alike.setdefault(canonical_text(name) or name, []).append(name)
    unique = {text: names[0] for text, names in alike.items() if len(names) == 1}
    return {**unique, **{name: name for name in categories}}
