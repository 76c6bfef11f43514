"""One value of a request: what a column takes, and how a refused value is described."""

import math
from collections.abc import Callable
from typing import Any

from ml_assets.core.canonical import as_boolean, match_category, number_text
from ml_assets.records.plan import Column

# What `clean` returns for a value that is not allowed.
BAD = object()
_SHOWN = 12
_INT64 = range(-(2**63), 2**63)


def expected(column: Column) -> str:
    """What a column takes, in words.

    Examples
    --------
    >>> expected(Column(name="sex", kind="string", categories=("Female", "Male")))
    "one of 'Female', 'Male'"
    >>> expected(Column(name="age", kind="number", nullable=True))
    'a number or null'
    """
    text = _KINDS[column.kind][1]
    if column.kind == "string" and column.categories is not None and not column.open:
        text = f"one of {len(column.categories):,} known values"
        if column.listed is not None:
            shown_ = [repr(name) for name in column.listed[:_SHOWN]]
            more = len(column.listed) - len(shown_)
            text = "one of " + ", ".join(shown_) + (f" and {more} more" if more else "")
    return f"{text} or null" if column.nullable else text


def found(value: object) -> str:
    """The kind of a value, in words that do not repeat it."""
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case float() if not math.isfinite(value):
            return "a number that is not finite"
        case float() if not value.is_integer():
            return "a number with a fraction"
        case int() if value not in _INT64:
            return "an integer beyond 64 bits"
        case int() | float():
            return "a number"
        case str():
            return "a string"
        case list():
            return "an array"
        case _:
            return "an object"


def clean(column: Column, value: Any) -> Any:
    """`value` as the runtime takes it, or `BAD` where it is not allowed."""
    if column.ignored:
        # For the log alone, in which a column has values of one kind.
        kept = _clean(column, value)
        return None if kept is BAD else kept
    if value is None:
        return None if column.nullable else BAD
    return _clean(column, value)


def converted(column: Column, value: Any) -> Any:
    """A value of another version, as `column` has it; None where it has none."""
    cleaned = clean(column, value)
    return None if cleaned is BAD else cleaned


def _clean(column: Column, value: Any) -> Any:
    if column.categories is not None:
        known = match_category(column.categories, value)
        if known is not None:
            return known
    if column.open:
        return _any_text(value)
    return BAD if column.categories is not None else _KINDS[column.kind][0](value)


def _any_text(value: Any) -> Any:
    """A text, or what a number or a truth value is called as a category."""
    if type(value) in (int, float):
        cleaned = _number(value)
        return BAD if cleaned is BAD else number_text(value)
    return str(value) if type(value) is bool else _string(value)


def _number(value: Any) -> Any:
    if type(value) not in (int, float):
        return BAD
    try:
        number = float(value)
    except OverflowError:
        return BAD
    return number if math.isfinite(number) else BAD


def _integer(value: Any) -> Any:
    if type(value) is float and value.is_integer():
        value = int(value)
    return value if type(value) is int and value in _INT64 else BAD


def _boolean(value: Any) -> Any:
    found_ = as_boolean(value)
    return BAD if found_ is None else found_


def _string(value: Any) -> Any:
    return value if is_text(value) else BAD


def is_text(value: object) -> bool:
    """Whether `value` is a string that can be written down.

    JSON can spell half of a surrogate pair, which no text can hold.
    """
    if type(value) is not str:
        return False
    return value.isascii() or not any("\ud800" <= item <= "\udfff" for item in value)


_KINDS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "number": (_number, "a number"),
    "integer": (_integer, "an integer"),
    "boolean": (_boolean, "true or false"),
    "string": (_string, "a string"),
}
