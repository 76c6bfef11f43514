"""One value, several spellings: what a text, a number or a truth value stands for.

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
_TRUTHS = dict.fromkeys(TRUE, True) | dict.fromkeys(FALSE, False)
# A zero in front makes a code of it: 01234 is another than 1234.
_NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?", re.ASCII)
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d\S*", re.ASCII)


def truth(value: object) -> bool | None:
    """A truth value in any spelling that training takes for one; else None.

    Examples
    --------
    >>> truth("TRUE"), truth(False), truth("yes"), truth(1)
    (True, False, None, None)
    """
    if isinstance(value, bool):
        return value
    return _TRUTHS.get(value.strip()) if isinstance(value, str) else None


def number_text(value: float) -> str:
    """A number as a category: a whole one has no fraction.

    Examples
    --------
    >>> number_text(3), number_text(3.0), number_text(2.5)
    ('3', '3', '2.5')
    """
    whole = isinstance(value, float) and value.is_integer()
    return str(int(value) if whole else value)


def moment_text(text: str) -> str:
    """A point in time in ISO 8601 with its ``T``; any other text as it is.

    Examples
    --------
    >>> moment_text("2026-11-27 09:30"), moment_text("27 November")
    ('2026-11-27T09:30:00', '27 November')
    """
    if not _MOMENT.fullmatch(text):
        return text
    try:
        return dt.datetime.fromisoformat(text).isoformat()
    except ValueError:
        return text


def plain(value: object) -> str | None:
    """The one text of all spellings of a value; None where it can be no category.

    Examples
    --------
    >>> plain("3.0"), plain(3), plain("03"), plain(True)
    ('3', '3', '03', 'True')
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
    return moment_text(text)


def category(categories: tuple[str, ...], value: object) -> str | None:
    """Which of `categories` a value is, however it is spelt; None if none.

    Examples
    --------
    >>> category(("1", "2"), 2.0), category(("01", "02"), "01"), category(("01",), 1)
    ('2', '01', None)
    >>> category(("False", "True"), "TRUE")
    'True'
    """
    known = _spelt(categories)
    if isinstance(value, str) and value in known:
        return known[value]
    if BOOLEANS.issuperset(categories) and (found := truth(value)) is not None:
        value = found
    text = plain(value)
    return None if text is None else known.get(text)


@lru_cache(maxsize=4_096)
def _spelt(categories: tuple[str, ...]) -> Mapping[str, str]:
    """Exact texts first; a spelling that two categories share means neither."""
    alike: dict[str, list[str]] = {}
    for name in categories:
        alike.setdefault(plain(name) or name, []).append(name)
    unique = {text: names[0] for text, names in alike.items() if len(names) == 1}
    return {**unique, **{name: name for name in categories}}
