"""The validation of requests, with an error for each value that does not fit.

`RowDecoder` is faster and accepts only a part of this. What it does not accept comes
here, to be accepted after all, or to be refused with the row, the column, what was
expected and what was found.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from ml_assets.records.plan import Column, Signature
from ml_assets.serving.requests.batch import Batch, of_columns
from ml_assets.serving.requests.problems import FieldError, Problem, invalid
from ml_assets.serving.requests.unseen import OpenColumns
from ml_assets.serving.requests.values import BAD, clean, expected, found

MAX_ERRORS = 20
_WHOLE_ROW = "at least one column"
_NAME_LENGTH = 80


def loads(body: bytes) -> Any:
    """Decode JSON, refusing what JSON leaves open: duplicate keys and deep nesting.

    ``NaN`` and ``Infinity`` become floats, so that the check of the values can name
    their row and column.
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


def check_size(size: int, max_rows: int, least: str = "") -> None:
    """Refuse no rows, and more than `max_rows`; `least` stands before the number."""
    if size == 0:
        raise invalid([FieldError(expected="at least one row", found="none")])
    if size > max_rows:
        detail = f"expected at most {max_rows} rows, found {least}{size}"
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
                errors += name_errors(columns, row, number)
            values.append([row.get(item.name, _absent(item)) for item in columns])
            _check_row(columns, values[-1], number, errors)
        if len(errors) >= MAX_ERRORS:
            break
    if errors:
        raise invalid(errors[:MAX_ERRORS])
    return _batch(columns, [list(column) for column in zip(*values, strict=True)])


def _batch(columns: Sequence[Column], values: Sequence[Sequence[Any]]) -> Batch:
    return replace(of_columns(values), unseen=OpenColumns(columns).unseen(values))


def _absent(column: Column) -> Any:
    """What stands for a column that a row leaves out."""
    return None if column.optional else BAD


def _check_row(
    columns: Sequence[Column], row: list[Any], number: int, errors: list[FieldError]
) -> None:
    for index, column in enumerate(columns):
        value = row[index]
        if value is BAD:
            continue
        row[index] = cleaned = clean(column, value)
        if cleaned is BAD:
            errors.append(value_error(column, number, value))


def check_columns(
    signature: Signature, given: Mapping[str, object], max_rows: int
) -> Batch:
    """Check rows that are given as one list of values per column."""
    errors = name_errors(signature.columns, given, None)
    lists: dict[str, list[Any]] = {}
    for column in signature.columns:
        values = given.get(column.name, [])
        if not isinstance(values, list):
            found_ = found(values)
            errors.append(
                FieldError(column=column.name, expected="an array", found=found_)
            )
        elif column.name in given:
            lists[column.name] = values
    if not errors and not lists:
        errors.append(FieldError(expected=_WHOLE_ROW, found="none"))
    if errors:
        raise invalid(errors[:MAX_ERRORS])
    first = next(iter(lists))
    size = len(lists[first])
    for column in signature.columns:
        values = lists.setdefault(column.name, [None] * size)
        if len(values) != size:
            expected = f"{size} values, as in column {first!r}"
            errors.append(
                FieldError(
                    column=column.name, expected=expected, found=str(len(values))
                )
            )
    if errors:
        raise invalid(errors[:MAX_ERRORS])
    check_size(size, max_rows)
    ordered = [lists[column.name] for column in signature.columns]
    return _batch(signature.columns, _clean_lists(signature.columns, ordered))


def _clean_lists(
    columns: Sequence[Column], lists: Sequence[list[Any]]
) -> list[list[Any]]:
    errors: list[FieldError] = []
    cleaned: list[list[Any]] = []
    for column, values in zip(columns, lists, strict=True):
        cleaned.append([clean(column, value) for value in values])
        for number, value in enumerate(cleaned[-1]):
            if value is BAD:
                errors.append(value_error(column, number, values[number]))
            if len(errors) == MAX_ERRORS:
                raise invalid(errors)
    if errors:
        raise invalid(errors)
    return cleaned


def name_errors(
    columns: Sequence[Column], given: Mapping[str, object], row: int | None
) -> list[FieldError]:
    """Errors for the columns of one row that are missing or unknown."""
    names = {column.name for column in columns}
    missing = [
        FieldError(
            row=row, column=column.name, expected=expected(column), found="nothing"
        )
        for column in columns
        if column.name not in given and not column.optional
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


def value_error(column: Column, row: int, value: object) -> FieldError:
    """What is wrong with a value that a column does not take."""
    text = found(value)
    if column.kind == "string" and isinstance(value, str):
        text = "another string"
    return FieldError(
        row=row, column=column.name, expected=expected(column), found=text
    )
