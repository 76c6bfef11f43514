"""The tidy table that every source yields, its structural checks and its content hash.

A tidy table has unique, named columns of four kinds only: ``int64``, ``float64``,
``bool`` and unordered categories with sorted texts. Missing cells are NaN, and the
index is 0, 1, 2, ...
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ml_assets.records.plan import LISTED
from ml_assets.spec.metrics import Kind

# In a table's ``attrs``: how many columns without a name were left out.
NAMELESS = "nameless"


class DataError(ValueError):
    """A table that cannot be used as it is; the message names the column."""


class SourceError(DataError):
    """Data that could not be read; the message names the source, and what to do."""


def tidy(frame: pd.DataFrame, is_part: bool = False) -> pd.DataFrame:
    """Bring a table as read into the few column types that the platform knows.

    Parameters
    ----------
    frame : DataFrame of shape (n_rows, n_columns)
        Columns of any pandas type.
    is_part : bool
        Whether it is one of several that make up a table: then it may lack rows.

    Returns
    -------
    DataFrame of shape (n_rows, n_columns)
        Integers are int64, or float64 where a cell is missing; other numbers are
        float64; Booleans are bool, or the categories "False" and "True" where a cell
        is missing; texts are categories; dates are categories in ISO 8601, so that
        they sort by time. A column without any value is float64. One without a name,
        such as the index that pandas writes, is left out; ``attrs`` have how many.

    Raises
    ------
    DataError
        No columns or rows; a name used twice, or a column that holds something else
        than plain values.

    Examples
    --------
    >>> import pandas as pd
    >>> tidy(pd.DataFrame({"age": [31, None], "sex": ["f", "m"]})).dtypes
    age     float64
    sex    category
    dtype: object
    """
    named = frame.loc[:, [bool(str(name).strip()) for name in frame.columns]]
    _check_names([str(name) for name in named.columns])
    if named.empty and not is_part:
        raise DataError("there are columns but no rows")
    columns = {
        str(name): _tidy_column(str(name), column.reset_index(drop=True))
        for name, column in named.items()
    }
    tidied = pd.DataFrame(columns)
    tidied.attrs[NAMELESS] = len(frame.columns) - len(named.columns)
    return tidied


def check_target(
    frame: pd.DataFrame,
    target: str,
    unlabelled: bool = False,
    kind: Kind = "classification",
) -> None:
    """Refuse a table whose target column cannot train a model of that kind.

    Parameters
    ----------
    frame : DataFrame of shape (n_rows, n_columns)
        A tidy table.
    target : str
        Name of the column to predict.
    unlabelled : bool
        Whether rows without it are left out later, and may be there.
    kind : {'classification', 'regression'}
        Classes are two values or more, `~ml_assets.records.plan.LISTED` at most.

    Raises
    ------
    DataError
        The column is missing, has missing cells, has one value or too many, or is the
        only column.

    Examples
    --------
    >>> import pandas as pd
    >>> check_target(pd.DataFrame({"age": [1, 2], "income": ["<=50K"] * 2}), "income")
    Traceback (most recent call last):
    ...
    ml_assets.ml.tables.DataError: column 'income' has 1 value ('<=50K'); \
a classification target needs at least 2 and at most 64
    """
    if target not in frame.columns:
        raise DataError(
            f"target column '{target}' is missing; the columns are"
            f" {_listing(list(frame.columns))}"
        )
    if len(frame.columns) == 1:
        raise DataError(f"there is no column beside the target '{target}'")
    column = frame[target]
    missing = int(column.isna().sum())
    if missing == len(column) or (missing and not unlabelled):
        raise DataError(
            f"target column '{target}' has no value in {missing:,} of"
            f" {len(column):,} rows; a classifier learns from labelled rows only: leave"
            " the others out at the source, or say so in the YAML"
            " (source: {unlabelled: drop})"
        )
    values = sorted(column.dropna().unique().tolist(), key=str)
    if len(values) < 2 or (kind == "classification" and len(values) > LISTED):
        noun = "value" if len(values) == 1 else "values"
        most = f" and at most {LISTED}" if kind == "classification" else ""
        # So many values may name people, and are no classes in any case.
        shown = f" ({_listing(values)})" if len(values) <= LISTED else ""
        raise DataError(
            f"column '{target}' has {len(values):,} {noun}{shown};"
            f" a {kind} target needs at least 2{most}"
        )


def content_hash(frame: pd.DataFrame) -> str:
    """SHA-256 of a tidy table's names, types and values, in their order.

    Two tables with equal content have the same hash in every process, however their
    categories are coded. Another order of rows or columns gives another hash.

    Parameters
    ----------
    frame : DataFrame of shape (n_rows, n_columns)
        A tidy table.

    Returns
    -------
    str
        64 hexadecimal digits.

    Examples
    --------
    >>> import pandas as pd
    >>> table = pd.DataFrame({"sex": pd.Categorical(["f", "m", "f"])})
    >>> content_hash(table)[:16]
    '...'
    >>> recoded = pd.Categorical(["f", "m", "f"], categories=["m", "f"])
    >>> content_hash(table) == content_hash(table.assign(sex=recoded))
    True
    """
    digest = hashlib.sha256(f"{frame.shape}".encode())
    for name, column in frame.items():
        kind, parts = _canonical(column)
        _feed(digest, f"{name}\0{kind}".encode())
        for part in parts:
            _feed(digest, part)
    return digest.hexdigest()


def _feed(digest: Any, data: Any) -> None:
    # The length goes first, so that neighbours cannot lend each other bytes.
    view = memoryview(data).cast("B")
    digest.update(len(view).to_bytes(8, "little"))
    digest.update(view)


def _canonical(column: pd.Series[Any]) -> tuple[str, list[Any]]:
    """A column's kind and its content as bytes that depend on the values alone."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        codes, texts = _recoded(column)
        encoded = [str(text).encode() for text in texts]
        names = b"".join(len(text).to_bytes(8, "little") + text for text in encoded)
        return "category", [names, codes.astype("<i4", copy=False)]
    values = np.ascontiguousarray(column.to_numpy())
    if values.dtype.kind == "f":
        # Adding zero turns -0.0, which equals 0.0, into it.
        values = np.where(np.isnan(values), np.nan, values + 0.0)
    little = values.astype(values.dtype.newbyteorder("<"), copy=False)
    return str(column.dtype), [little]


def _check_names(names: list[str]) -> None:
    if not names:
        raise DataError("there are no columns")
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise DataError(f"column '{name}' appears {names.count(name)} times")
        seen.add(name)


def _tidy_column(name: str, column: pd.Series[Any]) -> pd.Series[Any]:
    missing = column.isna()
    if missing.all():
        return pd.Series(np.full(len(column), np.nan))
    if isinstance(column.dtype, pd.CategoricalDtype):
        if pd.api.types.infer_dtype(column.cat.categories) == "string":
            return _sorted_categories(column)
        column = column.astype(column.cat.categories.dtype)
    kind = pd.api.types.infer_dtype(column, skipna=True)
    if kind in ("string", "date", "datetime", "datetime64"):
        return _as_categories(column, kind)
    if kind == "boolean":
        if missing.any():
            return column.astype(object).map(str, na_action="ignore").astype("category")
        return column.astype(bool)
    if kind in ("integer", "floating", "mixed-integer-float", "decimal", "integer-na"):
        return _as_numbers(column, whole=kind == "integer" and not missing.any())
    raise DataError(
        f"column '{name}' holds {kind} values; numbers, texts, Booleans and dates"
        " are understood"
    )


def _as_numbers(column: pd.Series[Any], whole: bool) -> pd.Series[Any]:
    if whole:
        limits = np.iinfo(np.int64)
        if limits.min <= column.min() and column.max() <= limits.max:
            return column.astype(np.int64)
    return pd.Series(column.to_numpy(dtype=np.float64, na_value=np.nan))


def _as_categories(column: pd.Series[Any], kind: str) -> pd.Series[Any]:
    if kind != "string":
        column = column.astype(object).map(lambda cell: cell.isoformat(), "ignore")
    return _sorted_categories(column.astype("category"))


def _sorted_categories(column: pd.Series[Any]) -> pd.Series[Any]:
    codes, texts = _recoded(column)
    index = pd.Index(texts, dtype="str")
    return pd.Series(pd.Categorical.from_codes(codes, index, ordered=False))


def _recoded(column: pd.Series[Any]) -> tuple[NDArray[np.int32], NDArray[np.object_]]:
    """Codes into the sorted texts that occur, -1 for a missing cell; and the texts."""
    codes = column.cat.codes.to_numpy()
    counts = np.bincount(codes + 1, minlength=len(column.cat.categories) + 1)
    used = np.flatnonzero(counts[1:])
    texts = column.cat.categories.to_numpy(dtype=object)[used]
    order = np.argsort(texts)
    # One element more than there are categories: code -1, a missing cell, reads it.
    rank = np.full(len(counts), -1, dtype=np.int32)
    rank[used[order]] = np.arange(len(used))
    return rank[codes], texts[order]


def _listing(values: list[Any], most: int = 8) -> str:
    shown = ", ".join(repr(value) for value in values[:most])
    return shown + (f" and {len(values) - most:,} more" if len(values) > most else "")
