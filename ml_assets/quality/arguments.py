"""What a rule compares, in one type: dates as seconds, sets as the column's values.

A tidy table holds dates as ISO 8601 texts, YAML gives dates or texts, and Great
Expectations refuses to compare the two, or finds no value of one in a set of the other.
A time without a zone is UTC.
"""

import datetime as dt
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import pandas as pd
from pandas.api import types

from ml_assets.quality.names import columns_of
from ml_assets.quality.values import plain
from ml_assets.spec.dates import moment

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


class Fitted(NamedTuple):
    """A rule's keywords, and columns that stand in for those of the table.

    ``reason`` says why it cannot be evaluated, if so.
    """

    kwargs: dict[str, Any]
    columns: dict[str, "pd.Series[Any]"]
    reason: str = ""


def fit(frame: pd.DataFrame, expectation: str, kwargs: Mapping[str, Any]) -> Fitted:
    """The rule as it can be evaluated on `frame`, whose columns it finds there.

    Examples
    --------
    >>> frame = pd.DataFrame({"day": ["2026-01-01", None]})
    >>> rule = {"column": "day", "min_value": dt.date(2026, 1, 1)}
    >>> fit(frame, "expect_column_values_to_be_between", rule).kwargs["min_value"]
    1767225600.0
    """
    as_given = Fitted(dict(kwargs), {})
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
            return as_given._replace(kwargs=_alike(frame[name], kwargs))
        columns[name] = column
    if expectation in ORDERS:
        for key, value in given:
            if moment(value) is None:
                reason = f"{names[0]} holds dates, and {key} {value!r} is none"
                return as_given._replace(reason=f"{reason} such as 2026-01-31")
    return Fitted(_converted(kwargs), columns)


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
        found = moment(value)
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
    seconds = {value: moment(value) for value in distinct}
    foreign = [value for value, at in seconds.items() if at is None]
    if foreign or not distinct:
        return None, foreign[0] if foreign else None
    return column.astype(object).map(seconds).astype("float64"), None


def _alike(column: "pd.Series[Any]", kwargs: Mapping[str, Any]) -> dict[str, Any]:
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
