"""The groups of a column, for figures that are reported group by group."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

MISSING = "missing"
# Numbers with more values than this are cut at their quartiles.
MAX_DISTINCT = 10
QUARTILES = (0.25, 0.5, 0.75)


def groups_of(column: "pd.Series[Any]") -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """Name and rows of each group, in the order of the values.

    Parameters
    ----------
    column : Series of shape (n_rows,)
        A category is a group; numbers with more than ten values give four groups of
        about the same size; missing values are a group of their own.

    Yields
    ------
    tuple of str and ndarray of bool, shape (n_rows,)
        Only groups that have rows.

    Examples
    --------
    >>> [name for name, rows in groups_of(pd.Series(["b", "a", None]))]
    ['a', 'b', 'missing']
    """
    missing = column.isna().to_numpy(dtype=bool)
    numeric = pd.api.types.is_numeric_dtype(column.dtype)
    if numeric and column.nunique() > MAX_DISTINCT:
        yield from _quarters(column.to_numpy(dtype=np.float64, na_value=np.nan))
    else:
        for value in sorted(column[~missing].unique(), key=_by_value):
            yield str(value), np.asarray(column == value).astype(bool)
    if missing.any():
        yield MISSING, missing


def _by_value(value: Any) -> tuple[bool, Any]:
    return (True, value) if isinstance(value, str) else (False, value)


def _quarters(values: NDArray[np.float64]) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    known = values[~np.isnan(values)]
    cuts = np.unique(np.quantile(known, QUARTILES, method="lower"))
    quarter = np.searchsorted(cuts, values, side="left")
    for number in range(len(cuts) + 1):
        rows = (quarter == number) & ~np.isnan(values)
        if rows.any():
            yield f"{values[rows].min():g} to {values[rows].max():g}", rows
