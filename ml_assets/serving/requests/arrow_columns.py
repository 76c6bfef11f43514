"""From Arrow columns to checked ones: what a request of JSON would be taken for.

Each distinct value of a category is checked once, numbers as a whole array; no Python
object is made for a cell. The values are those of the same rows in JSON, where points
in time are texts in ISO 8601; NaN is a missing value, as pandas has it.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from msgspec.structs import replace
from numpy.typing import NDArray

from ml_assets.core.column_arrays import CodedColumn, ColumnArray, NumberColumn
from ml_assets.records.plan import Column, Signature
from ml_assets.serving.requests.batch import Batch, UnseenCategory, of_columns
from ml_assets.serving.requests.problems import FieldError, Problem, invalid
from ml_assets.serving.requests.validation import (
    MAX_ERRORS,
    check_size,
    name_errors,
    shown,
    value_error,
)
from ml_assets.serving.requests.values import BAD, clean, expected

_NUMERIC = ("number", "integer")
_INT64_END = 2.0**63


def read_table(signature: Signature, table: pa.Table, max_rows: int) -> Batch:
    """The rows of `table`, whose columns are arrays.

    Raises
    ------
    Problem
        413 or 422, with the first row of each column that does not fit.
    """
    names = Counter(table.column_names)
    for name, count in names.items():
        if count > 1:
            detail = f"the column {shown(name)} stands twice"
            raise Problem(422, "invalid-request", detail)
    errors = name_errors(signature.columns, names, None)
    if errors:
        raise invalid(errors[:MAX_ERRORS])
    check_size(table.num_rows, max_rows)
    columns: list[ColumnArray] = []
    unseen: list[UnseenCategory] = []
    for column in signature.columns:
        if column.name in names:
            array = table.column(column.name).combine_chunks()
        else:
            array = pa.nulls(table.num_rows)
        try:
            columns.append(read_column(column, array))
        except Problem as problem:
            errors += problem.errors
            continue
        unseen += _unseen(column, columns[-1])
    if errors:
        raise invalid(errors[:MAX_ERRORS])
    return replace(of_columns(columns), unseen=unseen)


def read_column(column: Column, array: pa.Array) -> ColumnArray:
    """The values of one column.

    Raises
    ------
    Problem
        422, if the type of the array is none for the column, or a value does not fit.
    """
    is_number = column.kind in _NUMERIC and not column.ignored
    kind = array.type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
        if is_number:
            array = array.dictionary_decode()
    if pa.types.is_null(kind):
        array = pa.nulls(len(array), pa.float64())
    elif not _is_readable(kind, is_number):
        if column.ignored:
            return CodedColumn([None], np.zeros(len(array), np.uint8))
        raise invalid([_type_error(column, kind)])
    return _numbers(column, array) if is_number else _coded(column, array)


def _type_error(column: Column, kind: pa.DataType) -> FieldError:
    found = f"Arrow type {shown(str(kind))[1:-1]}"
    return FieldError(column=column.name, expected=expected(column), found=found)


def _is_readable(kind: pa.DataType, is_number: bool) -> bool:
    """Whether values of a type may be numbers, or categories."""
    types = pa.types
    if types.is_integer(kind) or types.is_floating(kind):
        return True
    return not is_number and (
        types.is_boolean(kind)
        or types.is_string(kind)
        or types.is_large_string(kind)
        or types.is_string_view(kind)
        or types.is_timestamp(kind)
        or types.is_date(kind)
    )


def _numbers(column: Column, array: pa.Array) -> NumberColumn:
    is_null = None
    if array.null_count:
        is_null = array.is_null().to_numpy(zero_copy_only=False)
        array = array.fill_null(0)
    given = array.to_numpy(zero_copy_only=False)
    values = given.astype(np.float64)
    bad = np.isinf(values)
    if is_null is not None:
        values[is_null] = np.nan
    missing = np.isnan(values)
    if not column.nullable:
        bad |= missing
    whole = None
    if column.kind == "integer":
        filled = np.where(missing, 0.0, values)
        # In float64, so that the largest of int64 is itself beyond the end.
        is_inside = (filled >= -_INT64_END) & (filled < _INT64_END)
        if given.dtype.kind == "i":
            is_inside[:] = True
        elif given.dtype.kind == "u":
            is_inside = given < 2**63
        bad |= (filled != np.floor(filled)) | ~is_inside
        whole = given if given.dtype.kind in "iu" else filled
    if bad.any():
        row = int(np.argmax(bad))
        is_missing = is_null is not None and is_null[row]
        value = None if is_missing else given[row].item()
        raise invalid([value_error(column, row, value)])
    return NumberColumn(values, None if whole is None else whole.astype(np.int64))


def _coded(column: Column, array: pa.Array) -> CodedColumn:
    if pa.types.is_string_view(array.type):
        array = array.cast(pa.large_string())
    if not pa.types.is_dictionary(array.type):
        array = array.dictionary_encode()
    distinct = [*_distinct(column, array.dictionary), None]
    indices = array.indices.cast(pa.int32())
    codes = indices.fill_null(len(distinct) - 1).to_numpy(zero_copy_only=False)
    cleaned = [clean(column, value) for value in distinct]
    is_bad = np.array([value is BAD for value in cleaned])
    if is_bad.any():
        # A dictionary may hold what no row has.
        bad = is_bad[codes]
        if bad.any():
            row = int(np.argmax(bad))
            raise invalid([value_error(column, row, distinct[codes[row]])])
    return CodedColumn([None if v is BAD else v for v in cleaned], codes)


def _distinct(column: Column, array: pa.Array) -> list[Any]:
    """The values as JSON has them."""
    kind = array.type
    if pa.types.is_timestamp(kind):
        # With any time zone it is counted in UTC; Python has microseconds.
        unit = "us" if kind.unit == "ns" else kind.unit
        zone = "UTC" if kind.tz else None
        array = array.cast(pa.timestamp(unit, zone), safe=False)
    try:
        values = array.to_pylist()
    except (ValueError, OverflowError) as error:
        text = "a point in time beyond the calendar"
        wrong = FieldError(column=column.name, expected=expected(column), found=text)
        raise invalid([wrong]) from error
    if pa.types.is_temporal(kind):
        return [None if value is None else value.isoformat() for value in values]
    return [None if value != value else value for value in values]


def _unseen(column: Column, values: ColumnArray) -> Sequence[UnseenCategory]:
    """The rows of an open column whose category training did not see."""
    if not (column.open and column.categories):
        return ()
    distinct, codes = values.coded()
    known = {*column.categories, None}
    is_unseen: NDArray[np.bool_] = np.array([value not in known for value in distinct])
    rows = np.flatnonzero(is_unseen[codes]).tolist()
    return (UnseenCategory(column.name, rows),) if rows else ()
