"""A hash of some cells of each row, by names of columns and values, not spellings."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ml_assets.core.canonical import as_boolean, timestamp_text

Hashes = NDArray[np.uint64]

# A zero in front makes a code of it: 01234 is another than 1234.
_NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d*)?([eE][+-]?\d+)?", re.ASCII)


def hash_columns(frame: pd.DataFrame, columns: Sequence[str], seed: int = 0) -> Hashes:
    """A hash of each row of `frame`, of its cells in some columns.

    A missing cell counts nothing, nor does a column that `frame` does not have, and the
    order of the columns does not matter.

    Examples
    --------
    >>> one = pd.DataFrame({"age": [31, 40]})
    >>> other = pd.DataFrame({"age": ["31", None], "more": 1})
    >>> (hash_columns(one, ["age"]) == hash_columns(other, ["age"])).tolist()
    [True, False]
    """
    total = np.zeros(len(frame), dtype=np.uint64)
    for name in columns:
        if name in frame.columns:
            total += _cells(name, frame[name])
    return mixed(total ^ mixed(np.array([seed])))


def _cells(name: str, column: "pd.Series[Any]") -> Hashes:
    """What the cells of a column add to the hashes of their rows."""
    values = _values(column)
    missing = column.isna().to_numpy(dtype=bool)
    named = pd.util.hash_array(np.array([name], dtype=object), categorize=False)
    return np.where(missing, np.uint64(0), mixed(values ^ mixed(named)))


def _values(column: "pd.Series[Any]") -> Hashes:
    dtype = column.dtype
    if pd.api.types.is_numeric_dtype(dtype) or pd.api.types.is_bool_dtype(dtype):
        return _of_floats(column.to_numpy(dtype=np.float64, na_value=np.nan))
    codes, uniques = pd.factorize(column)
    # One element more: code -1, a missing cell, reads the last.
    return np.append(_of_spellings(list(uniques)), np.uint64(0))[codes]


def _of_spellings(values: Sequence[Any]) -> Hashes:
    """Hashes of texts (and whatever else): what reads as a number is that number."""
    spelt = [_plain(value) for value in values]
    is_number = np.array([isinstance(item, float) for item in spelt], dtype=bool)
    texts = np.array([str(item) for item in spelt], dtype=object)
    floats = [item if isinstance(item, float) else 0.0 for item in spelt]
    return np.where(
        is_number,
        _of_floats(np.array(floats, dtype=np.float64)),
        pd.util.hash_array(texts, categorize=False),
    )


def _plain(value: Any) -> float | str:
    text = str(value).strip()
    found = as_boolean(text)
    if found is not None:
        # A column of 0 and 1 may be read as one of truth values in another week.
        return float(found)
    return float(text) if _NUMBER.fullmatch(text) else timestamp_text(text)


def _of_floats(values: NDArray[np.float64]) -> Hashes:
    # Adding zero makes one value of 0.0 and -0.0.
    return mixed((values + 0.0).view(np.uint64))


def mixed(value: NDArray[Any]) -> Hashes:
    """The finaliser of splitmix64: every bit of the input moves every bit out."""
    with np.errstate(over="ignore"):
        mixed = value.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return np.asarray(mixed ^ (mixed >> np.uint64(31)))
