"""The whole rule of what a request may hold, in code that can say what is wrong.

The decoder in `request` is faster and accepts only a part of this. What it does not
accept comes here, to be accepted after all, or to be refused with the row, the column,
what was expected and what was found.
"""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ml_assets.serving.batch import Batch, of_columns
from ml_assets.serving.plan import Column, Signature
from ml_assets.serving.problems import FieldError, Problem, invalid
from ml_assets.serving.spelling import category, truth

MAX_ERRORS = 20
_SHOWN_CATEGORIES = 12
_NAME_LENGTH = 80
_INT64 = range(-(2**63), 2**63)
_BAD = object()


def loads(body: bytes) -> Any:
    """Decode JSON, refusing what JSON leaves open: duplicate keys and deep nesting.

    ``NaN`` and ``Infinity`` become floats, so that the check of the values can say
    where they stand.
    """
    if not body.strip():
        raise Problem(400, "malformed-json", "the body is empty")
    try:
        return json.loads(body.decode(), object_pairs_hook=_unique)
    except json.JSONDecodeError as error:
        detail = f"{error.msg} (line {error.lineno}, column {error.colno})"
    except UnicodeDecodeError as error:
        detail = f"the body is not UTF-8 at byte {error.start}"
    except RecursionError:
        detail = "the body is nested too deeply"
    except ValueError:
        detail = "a number has too many digits"
    raise Problem(400, "malformed-json", detail)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [key for key, _ in pairs]
        twice = next(key for key in found if names.count(key) > 1)
        raise Problem(400, "malformed-json", f"the key {shown(twice)} stands twice")
    return found


def shown(name: str) -> str:
    """A caller's key, fit to be repeated: quoted, ASCII, and cut."""
    short = name if len(name) <= _NAME_LENGTH else name[:_NAME_LENGTH] + "..."
    return ascii(short)


def check_size(size: int, max_rows: int) -> None:
    """Refuse no rows, and more than `max_rows`."""
    if size == 0:
        raise invalid([FieldError(expected="at least one row", found="none")])
    if size > max_rows:
        detail = f"expected at most {max_rows} rows, found {size}"
        raise Problem(413, "too-many-rows", detail)


def check_rows(signature: Signature, rows: object, max_rows: int) -> Batch:
    """Check rows that are given as a list of objects."""
    if not isinstance(rows, list):
        raise invalid([FieldError(expected="an array of rows", found=found(rows))])
    check_size(len(rows), max_rows)
    columns = signature.columns
    names = {column.name for column in columns}
    errors: list[FieldError] = []
    values: list[list[Any]] = []
    for number, row in enumerate(rows):
        if not isinstance(row, dict):
            errors.append(
                FieldError(row=number, expected="an object", found=found(row))
            )
        else:
            if row.keys() != names:
                errors += _names(columns, row, number)
            values.append([row.get(column.name, _BAD) for column in columns])
            _check_row(columns, values[-1], number, errors)
        if len(errors) >= MAX_ERRORS:
            break
    if errors:
        raise invalid(errors[:MAX_ERRORS])
    return of_columns([list(column) for column in zip(*values, strict=True)])


def _check_row(
    columns: Sequence[Column], row: list[Any], number: int, errors: list[FieldError]
) -> None:
    for index, column in enumerate(columns):
        value = row[index]
        if value is _BAD:
            continue
        row[index] = cleaned = clean(column, value)
        if cleaned is _BAD:
            errors.append(_refusal(column, number, value))


def check_columns(
    signature: Signature, given: Mapping[str, object], max_rows: int
) -> Batch:
    """Check rows that are given as one list of values per column."""
    errors = _names(signature.columns, given, None)
    lists: list[list[Any]] = []
    for column in signature.columns:
        values = given.get(column.name, [])
        if isinstance(values, list):
            lists.append(values)
        else:
            found_ = found(values)
            errors.append(
                FieldError(column=column.name, expected="an array", found=found_)
            )
    if errors:
        raise invalid(errors[:MAX_ERRORS])
    size = len(lists[0])
    for column, values in zip(signature.columns, lists, strict=True):
        if len(values) != size:
            expected = f"{size} values, as in column {signature.columns[0].name!r}"
            errors.append(
                FieldError(
                    column=column.name, expected=expected, found=str(len(values))
                )
            )
    if errors:
        raise invalid(errors[:MAX_ERRORS])
    check_size(size, max_rows)
    return of_columns(_clean_lists(signature.columns, lists))


def _clean_lists(
    columns: Sequence[Column], lists: Sequence[list[Any]]
) -> list[list[Any]]:
    errors: list[FieldError] = []
    cleaned: list[list[Any]] = []
    for column, values in zip(columns, lists, strict=True):
        cleaned.append([clean(column, value) for value in values])
        for number, value in enumerate(cleaned[-1]):
            if value is _BAD:
                errors.append(_refusal(column, number, values[number]))
            if len(errors) == MAX_ERRORS:
                raise invalid(errors)
    if errors:
        raise invalid(errors)
    return cleaned


def _names(
    columns: Sequence[Column], given: Mapping[str, object], row: int | None
) -> list[FieldError]:
    """Errors for the columns of one row that are missing or unknown."""
    names = {column.name for column in columns}
    missing = [
        FieldError(
            row=row, column=column.name, expected=expected(column), found="nothing"
        )
        for column in columns
        if column.name not in given
    ]
    unknown = [
        FieldError(
            row=row,
            column=shown(name)[1:-1],
            expected="no such column",
            found="an unknown column",
        )
        for name in list(given)[: len(names) + MAX_ERRORS]
        if name not in names
    ]
    return missing + unknown


def _refusal(column: Column, row: int, value: object) -> FieldError:
    text = found(value)
    if column.kind == "string" and isinstance(value, str):
        text = "another string"
    return FieldError(
        row=row, column=column.name, expected=expected(column), found=text
    )


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
    if column.kind == "string" and column.categories is not None:
        shown_ = [repr(name) for name in column.categories[:_SHOWN_CATEGORIES]]
        more = len(column.categories) - len(shown_)
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
    """`value` as the runtime takes it, or a mark that says it may not stand here."""
    if value is None:
        return None if column.nullable else _BAD
    if column.categories is not None:
        found_ = category(column.categories, value)
        return _BAD if found_ is None else found_
    return _KINDS[column.kind][0](value)


def _number(value: Any) -> Any:
    if type(value) not in (int, float):
        return _BAD
    try:
        number = float(value)
    except OverflowError:
        return _BAD
    return number if math.isfinite(number) else _BAD


def _integer(value: Any) -> Any:
    if type(value) is float and value.is_integer():
        value = int(value)
    return value if type(value) is int and value in _INT64 else _BAD


def _boolean(value: Any) -> Any:
    found_ = truth(value)
    return _BAD if found_ is None else found_


def _string(value: Any) -> Any:
    return value if is_text(value) else _BAD


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
