"""A rule and its table, converted to what Great Expectations can compare.

A tidy table holds dates as ISO 8601 texts, YAML gives dates or texts, and Great
Expectations refuses to compare the two, or finds no value of one in a set of the other:
it gets both as seconds. A time without a zone is UTC.

It is several times faster on categories than on strings. A few rules cannot work on
categories, or answer otherwise; those get strings.
"""

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import pandas as pd
from pandas.api import types

from ml_assets.ml.frames import with_columns
from ml_assets.quality.names import columns_of
from ml_assets.quality.outcome import plain
from ml_assets.spec.expectations import EPOCH, timestamp

SETS = {
    "expect_column_distinct_values_to_be_in_set",
    "expect_column_distinct_values_to_contain_set",
    "expect_column_distinct_values_to_equal_set",
    "expect_column_most_common_value_to_be_in_set",
    "expect_column_values_to_be_in_set",
    "expect_column_values_to_not_be_in_set",
}
ORDERS = {
    "expect_column_max_to_be_between",
    "expect_column_mean_to_be_between",
    "expect_column_median_to_be_between",
    "expect_column_min_to_be_between",
    "expect_column_quantile_values_to_be_between",
    "expect_column_values_to_be_between",
}
# They compare values of columns with each other.
AMONG = {
    "expect_column_pair_values_a_to_be_greater_than_b",
    "expect_column_pair_values_to_be_equal",
    "expect_column_values_to_be_decreasing",
    "expect_column_values_to_be_increasing",
    "expect_multicolumn_values_to_be_equal",
}
TRUTH = {"true": True, "false": False}

CATEGORY, OBJECT, STRING = "category", "object", "str"
# Rules that compare or order values, which unordered categories refuse, or read
# the type of each value, and the one that reads the type of the column.
STRING_DTYPES = {
    "expect_column_max_to_be_between": OBJECT,
    "expect_column_min_to_be_between": OBJECT,
    "expect_column_pair_values_to_be_equal": OBJECT,
    "expect_column_pair_values_a_to_be_greater_than_b": OBJECT,
    "expect_multicolumn_values_to_be_equal": OBJECT,
    "expect_column_values_to_be_increasing": OBJECT,
    "expect_column_values_to_be_decreasing": OBJECT,
    "expect_column_values_to_be_of_type": OBJECT,
    "expect_column_values_to_be_in_type_list": OBJECT,
    "expect_column_type_to_be": STRING,
}
# Rows that show whether a column repeats its values enough for categories to pay.
SAMPLE = 10_000


class Converted(NamedTuple):
    """A rule's keywords, and columns that replace those of the table.

    ``reason``: why it cannot be evaluated, if so.
    """

    kwargs: dict[str, Any]
    columns: dict[str, "pd.Series[Any]"]
    reason: str = ""


def convert(
    frame: pd.DataFrame, expectation: str, kwargs: Mapping[str, Any]
) -> Converted:
    """The rule as it can be evaluated on `frame`, which has its columns.

    Examples
    --------
    >>> frame = pd.DataFrame({"day": ["2026-01-01", None]})
    >>> rule = {"column": "day", "min_value": dt.date(2026, 1, 1)}
    >>> convert(frame, "expect_column_values_to_be_between", rule).kwargs["min_value"]
    1767225600.0
    """
    as_given = Converted(dict(kwargs), {})
    if expectation not in SETS | ORDERS | AMONG:
        return as_given
    names = columns_of(expectation, kwargs)
    given = [(key, value) for key, value in _given(kwargs) if value is not None]
    dates = [value for _, value in given if isinstance(value, dt.date)]
    columns = {}
    for name in names:
        column, foreign = _in_seconds(frame[name])
        if column is None:
            if dates:
                reason = (
                    f"{name} holds {foreign!r}, which is no date such as {dates[0]}"
                )
                return as_given._replace(reason=reason)
            return as_given._replace(kwargs=_set_of_kind(frame[name], kwargs))
        columns[name] = column
    if expectation in ORDERS:
        for key, value in given:
            if timestamp(value) is None:
                reason = f"{names[0]} holds dates, and {key} {value!r} is none"
                return as_given._replace(reason=f"{reason} such as 2026-01-31")
    return Converted(_converted(kwargs), columns)


def as_dates(value: Any) -> Any:
    """Seconds in a result of Great Expectations as dates again.

    Examples
    --------
    >>> as_dates([86400.0, 3600.0])
    ['1970-01-02', '1970-01-01T01:00:00']
    """
    if isinstance(value, list | tuple | set):
        return [as_dates(item) for item in value]
    if isinstance(value, Mapping):
        return {key: as_dates(item) for key, item in value.items()}
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
        return value
    at = EPOCH + dt.timedelta(seconds=value)
    return at.replace(tzinfo=None).isoformat().removesuffix("T00:00:00")


def string_dtype(expectation: str) -> str:
    """The dtype of strings that the rule `expectation` needs."""
    return STRING_DTYPES.get(expectation, CATEGORY)


def with_strings(
    frame: pd.DataFrame, dtype: str, expectations: Iterable[Mapping[str, Any]]
) -> pd.DataFrame:
    """`frame` with the string columns that `expectations` read as `dtype`.

    Columns that none of them reads stay as they are, and no column is copied that
    already has the dtype.
    """
    read = {
        column
        for item in expectations
        for expectation, kwargs in item.items()
        for column in columns_of(expectation, kwargs)
    }
    changed = {
        column: _as_dtype(frame[column], dtype)
        for column in frame.columns
        if column in read and _is_text(frame[column])
    }
    return with_columns(frame, changed) if changed else frame


def _given(kwargs: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The values that a rule compares with those of its column."""
    yield from ((key, kwargs.get(key)) for key in ("min_value", "max_value"))
    listed = kwargs.get("value_set")
    yield from (("value_set", item) for item in listed or ())
    for pair in (kwargs.get("quantile_ranges") or {}).get("value_ranges", ()):
        yield from (("value_ranges", item) for item in pair)


def _converted(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    def seconds(value: Any) -> Any:
        if isinstance(value, list | tuple | set):
            return [seconds(item) for item in value]
        found = timestamp(value)
        return value if found is None else found

    changed = dict(kwargs)
    for key in ("min_value", "max_value", "value_set"):
        if key in changed:
            changed[key] = seconds(changed[key])
    if "quantile_ranges" in changed:
        ranges = changed["quantile_ranges"]
        pairs = seconds(ranges.get("value_ranges", []))
        changed["quantile_ranges"] = {**ranges, "value_ranges": pairs}
    return changed


def _in_seconds(column: "pd.Series[Any]") -> tuple["pd.Series[Any] | None", Any]:
    """The column as seconds; else None, and a value of it that is no date."""
    if types.is_numeric_dtype(column.dtype):
        return None, plain(column.dropna().head(1).squeeze())
    distinct = column.dropna().unique().tolist()
    seconds = {value: timestamp(value) for value in distinct}
    foreign = [value for value, at in seconds.items() if at is None]
    if foreign or not distinct:
        return None, foreign[0] if foreign else None
    return column.astype(object).map(seconds).astype("float64"), None


def _set_of_kind(column: "pd.Series[Any]", kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """A set as values of the column's kind: 1 and "1", true and "true" are alike."""
    if not isinstance(kwargs.get("value_set"), list | tuple | set):
        return dict(kwargs)
    if types.is_bool_dtype(column.dtype):
        change = _as_truth
    elif types.is_numeric_dtype(column.dtype):
        change = _as_number
    else:
        change = _as_text
    return {**kwargs, "value_set": [change(item) for item in kwargs["value_set"]]}


def _as_truth(value: Any) -> Any:
    return TRUTH.get(value.lower(), value) if isinstance(value, str) else value


def _as_number(value: Any) -> Any:
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value


def _as_text(value: Any) -> Any:
    return str(value) if isinstance(value, bool | int | float) else value


def _as_dtype(column: pd.Series, dtype: str) -> pd.Series:
    is_category = isinstance(column.dtype, pd.CategoricalDtype)
    if dtype != CATEGORY:
        return column.astype(dtype)  # type: ignore[call-overload,no-any-return]
    if is_category or not _repeats(column):
        return column
    return column.astype("category")


def _is_text(column: pd.Series) -> bool:
    if isinstance(column.dtype, pd.CategoricalDtype):
        return _is_text(pd.Series(column.dtype.categories))
    if isinstance(column.dtype, pd.StringDtype):
        return True
    return (
        types.is_object_dtype(column.dtype)
        and types.infer_dtype(column, skipna=True) == "string"
    )


def _repeats(column: pd.Series) -> bool:
    sample = column.head(SAMPLE)
    return bool(sample.nunique() * 2 <= len(sample))
