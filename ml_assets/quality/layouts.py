"""How the strings of a table are laid out in memory for each kind of rule.

Great Expectations is several times faster on categories than on strings. A few rules
cannot work on categories, or answer otherwise; those get strings.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd
from pandas.api import types

from ml_assets.ml.columns import with_columns
from ml_assets.quality.names import columns_of

CATEGORY, OBJECT, STRING = "category", "object", "str"

# Rules that compare or order values, which unordered categories refuse, or look at
# the type of each value, and the one that looks at the type of the column.
LAYOUTS = {
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

# Rows that tell whether a column repeats its values enough for categories to pay.
SAMPLE = 10_000


def layout_of(expectation: str) -> str:
    """The layout of strings that the rule `expectation` needs."""
    return LAYOUTS.get(expectation, CATEGORY)


def arrange(
    frame: pd.DataFrame, layout: str, expectations: Iterable[Mapping[str, Any]]
) -> pd.DataFrame:
    """`frame` with the string columns that `expectations` read laid out anew.

    Columns that none of them reads stay as they are, and no column is copied that
    already has the layout.
    """
    read = {
        column
        for item in expectations
        for expectation, kwargs in item.items()
        for column in columns_of(expectation, kwargs)
    }
    changed = {
        column: _laid_out(frame[column], layout)
        for column in frame.columns
        if column in read and _is_text(frame[column])
    }
    return with_columns(frame, changed) if changed else frame


def _laid_out(column: pd.Series, layout: str) -> pd.Series:
    is_category = isinstance(column.dtype, pd.CategoricalDtype)
    if layout != CATEGORY:
        return column.astype(layout)  # type: ignore[call-overload,no-any-return]
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
