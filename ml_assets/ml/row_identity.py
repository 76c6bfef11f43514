"""Which columns identify a row, and a hash of each row that stays from week to week.

The hash of a row is made of its cells as the source has them, before anything is
dropped, cast or derived. A cell counts by the name of its column and its value,
however that is spelt; a missing cell counts nothing, and the order of rows and columns
does not matter. So a row keeps its hash when others are added, when an integer column
becomes floats, when one cell elsewhere is missing, or when a column is added.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ml_assets.core.canonical import as_boolean, timestamp_text

Hashes = NDArray[np.uint64]

# Of so many rows, texts and whole numbers that hardly repeat are an id, not a property.
MIN_ROWS = 20
UNIQUE_SHARE = 0.95
# Fewer kinds of rows than this, each seen often, are no identities of rows.
FEW_KINDS = 100
OFTEN = 10
# A zero in front makes a code of it: 01234 is another than 1234.
_NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d*)?([eE][+-]?\d+)?", re.ASCII)


class IdentityError(ValueError):
    """Rows that cannot be identified as the model's YAML asks for."""


@dataclass(frozen=True)
class Identity:
    """The columns that identify rows.

    Attributes
    ----------
    columns : tuple of str
        Columns of the raw table.
    counts_twins : bool
        Whether rows with the same cells are distinct: the first, the second, ...
    """

    columns: tuple[str, ...]
    counts_twins: bool = False


def identity_of(
    frame: pd.DataFrame,
    target: str,
    drop: Collection[str] = (),
    key: Sequence[str] = (),
) -> Identity:
    """Which columns identify the rows of a raw table.

    Parameters
    ----------
    frame : DataFrame of shape (n_rows, n_columns)
        The raw table.
    target : str
        The column to predict, which is no part of it: duplicates that turned out
        differently are duplicates all the same.
    drop : collection of str
        Columns that are no part of it either.
    key : sequence of str
        Columns that name what a row is about; then they alone are the identity.

    Raises
    ------
    IdentityError
        If a column of `key` is missing.

    Examples
    --------
    >>> frame = pd.DataFrame({"id": range(40), "age": [3, 4] * 20}).assign(late=0)
    >>> identity_of(frame, "late")
    Identity(columns=('age',), counts_twins=True)
    >>> identity_of(frame, "late", key=["id"])
    Identity(columns=('id',), counts_twins=False)
    """
    absent = [name for name in key if name not in frame.columns]
    if absent:
        raise IdentityError(
            f"split.key names '{absent[0]}', which the data does not have; its columns"
            f" are {', '.join(map(str, frame.columns))}"
        )
    if key:
        return Identity(tuple(key))
    known = [name for name in frame.columns if name != target and name not in drop]
    columns = [name for name in known if not is_near_unique(frame[name])]
    chosen = tuple(columns or known)
    return Identity(chosen, _are_few_kinds(row_hashes(frame, Identity(chosen))))


def is_near_unique(column: "pd.Series[Any]") -> bool:
    """Whether texts or whole numbers hardly repeat, as ids and time stamps do not.

    Measures do not count: a fraction that occurs once hides no duplicate.

    Examples
    --------
    >>> is_near_unique(pd.Series(range(100))), is_near_unique(pd.Series([.5] * 100))
    (True, False)
    """
    known = column.dropna()
    if len(known) < MIN_ROWS or known.nunique() < UNIQUE_SHARE * len(known):
        return False
    is_float = pd.api.types.is_float_dtype(known.dtype)
    return not is_float or bool((known % 1 == 0).all())


def row_hashes(frame: pd.DataFrame, identity: Identity, seed: int = 0) -> Hashes:
    """The hash of each row: the same for the same cells, else as if drawn at random.

    Columns of the identity that `frame` does not have count as missing.

    Examples
    --------
    >>> one = pd.DataFrame({"age": [31, 40], "wed": [True, False]})
    >>> other = pd.DataFrame({"wed": ["TRUE", None], "age": [31.0, 40.0], "more": 1})
    >>> identity = Identity(("age", "wed"))
    >>> (row_hashes(one, identity) == row_hashes(other, identity)).tolist()
    [True, False]
    """
    total = np.zeros(len(frame), dtype=np.uint64)
    for name in identity.columns:
        if name in frame.columns:
            total += _cells(name, frame[name])
    hashes = _mixed(total ^ _mixed(np.array([seed])))
    if not identity.counts_twins:
        return hashes
    earlier = pd.Series(hashes).groupby(hashes, sort=False).cumcount().to_numpy()
    return np.where(earlier, _mixed(hashes ^ _mixed(earlier)), hashes)


def _are_few_kinds(hashes: Hashes) -> bool:
    """Whether most rows are of a few kinds, so that whole kinds cannot be held out."""
    if not len(hashes):
        return False
    sizes = np.unique(hashes, return_counts=True)[1].astype(np.float64)
    # So many kinds of one size would divide as evenly.
    kinds = len(hashes) ** 2 / (sizes**2).sum()
    return bool(kinds < FEW_KINDS and len(hashes) >= OFTEN * kinds)


def _cells(name: str, column: "pd.Series[Any]") -> Hashes:
    """What the cells of a column add to the hashes of their rows."""
    values = _values(column)
    missing = column.isna().to_numpy(dtype=bool)
    named = pd.util.hash_array(np.array([name], dtype=object), categorize=False)
    return np.where(missing, np.uint64(0), _mixed(values ^ _mixed(named)))


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
    return _mixed((values + 0.0).view(np.uint64))


def _mixed(value: NDArray[Any]) -> Hashes:
    """The finaliser of splitmix64: every bit of the input moves every bit out."""
    with np.errstate(over="ignore"):
        mixed = value.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return np.asarray(mixed ^ (mixed >> np.uint64(31)))
