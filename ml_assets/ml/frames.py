"""Columns of a DataFrame computed, converted to arrays, added and replaced."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ml_assets.core.expressions.expression import Expression


def derive(
    frame: pd.DataFrame, expressions: Mapping[str, str]
) -> dict[str, NDArray[np.float64]]:
    """Evaluate `expressions` on the columns of `frame`.

    Examples
    --------
    >>> derive(pd.DataFrame({"a": [1, 2]}), {"twice": "2 * a"})
    {'twice': array([2., 4.])}
    """
    parsed = {name: Expression.parse(text) for name, text in expressions.items()}
    used = {column for item in parsed.values() for column in item.columns}
    values = {name: as_array(frame[name]) for name in frame.columns if name in used}
    return {name: item.evaluate(values) for name, item in parsed.items()}


def as_array(column: "pd.Series[Any]") -> NDArray[Any]:
    """A column as `Expression` takes it: floats, or texts with None for missing."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        # One element more: code -1, a missing cell, reads the last.
        texts = np.array([*column.cat.categories, None], dtype=object)
        return np.asarray(texts[column.cat.codes.to_numpy()])
    if pd.api.types.is_numeric_dtype(column.dtype):
        return np.asarray(column.to_numpy(dtype=np.float64, na_value=np.nan))
    return np.where(column.isna(), None, column.to_numpy(dtype=object))  # type: ignore


def with_columns(frame: pd.DataFrame, columns: Mapping[str, Any]) -> pd.DataFrame:
    """`frame` with columns added or replaced.

    ``assign`` takes names for keywords, and one of its own is ``self``.

    Examples
    --------
    >>> list(with_columns(pd.DataFrame({"a": [1]}), {"self": [2]}))
    ['a', 'self']
    """
    changed = frame.copy(deep=False)
    for name, values in columns.items():
        changed[name] = values
    return changed


def plain_texts(frame: pd.DataFrame) -> pd.DataFrame:
    """The same table with texts where it has categories.

    scikit-learn's encoders read an array of texts about five times as fast as a column
    of categories, and learn the same from both.

    Examples
    --------
    >>> plain_texts(pd.DataFrame({"sex": pd.Categorical(["m", None])})).dtypes.tolist()
    [dtype('O')]
    """
    texts = {
        name: frame[name].astype(object)
        for name in frame.columns
        if isinstance(frame[name].dtype, pd.CategoricalDtype)
    }
    return with_columns(frame, texts)
