"""Which rows are held out to test: the same rows, whenever it is asked.

Each row is given a number by a hash of its content and the seed, and of each class the
rows with the lowest numbers are the test rows. Nothing depends on the order of the
rows, and when rows are added later the earlier ones keep their numbers: what was a
test row stays one, but for the few rows at the cut, which moves a little (about
``sqrt(added rows * test_size)`` of them). A champion that was trained earlier is
therefore compared on rows of which it has seen next to none.
"""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ml_assets.model import SplitSpec


class SplitError(ValueError):
    """Rows that cannot be divided as the model's YAML says."""


def held_out(
    frame: pd.DataFrame, y: NDArray[np.int64], spec: SplitSpec
) -> NDArray[np.bool_]:
    """True for the rows that are held out.

    Parameters
    ----------
    frame : DataFrame of shape (n_rows, n_columns)
        The rows; for a split by time, with its column.
    y : ndarray of shape (n_rows,)
        The target as 0 and 1.
    spec : SplitSpec
        ``stratified``: the share `test_size` of each class. ``time``: the latest rows;
        rows of one moment stay together, and rows without a time are trained on.

    Raises
    ------
    SplitError
        If training or test would have no rows, or training only one class.

    Examples
    --------
    >>> frame = pd.DataFrame({"a": range(10)})
    >>> y = np.array([0] * 5 + [1] * 5)
    >>> int(held_out(frame, y, SplitSpec(test_size=0.4)).sum())
    4
    """
    if spec.type == "file":
        raise SplitError("split type 'file' brings its own rows: use with_test_rows")
    if spec.type == "time":
        mask = _latest(frame, str(spec.column), spec.test_size)
    else:
        mask = _lowest_of_each_class(row_hash(frame, spec.seed), y, spec.test_size)
    check_mask(mask, y)
    return mask


def with_test_rows(
    train: pd.DataFrame, test: pd.DataFrame
) -> tuple[pd.DataFrame, NDArray[np.bool_]]:
    """One table of training rows, then test rows, and the mask of the latter.

    Raises
    ------
    SplitError
        If `test` lacks a column of `train`.
    """
    absent = [name for name in train.columns if name not in test.columns]
    if absent:
        raise SplitError(
            f"the test rows have no column '{absent[0]}'; theirs are"
            f" {', '.join(map(str, test.columns))}"
        )
    columns = {
        name: _joined(train[name], test[name].reset_index(drop=True))
        for name in train.columns
    }
    mask = np.arange(len(train) + len(test)) >= len(train)
    return pd.DataFrame(columns), mask


def _joined(first: "pd.Series[Any]", second: "pd.Series[Any]") -> "pd.Series[Any]":
    if isinstance(first.dtype, pd.CategoricalDtype) and isinstance(
        second.dtype, pd.CategoricalDtype
    ):
        both = pd.api.types.union_categoricals([first, second], sort_categories=True)
        return pd.Series(both)
    return pd.concat([first, second], ignore_index=True)


def row_hash(frame: pd.DataFrame, seed: int) -> NDArray[np.uint64]:
    """A number for each row, from its content and `seed` alone.

    It is the same for 1 and 1.0, since one missing cell turns a column of integers into
    floats, and whatever the order of the columns.
    """
    columns = {name: _hashable(frame[name]) for name in sorted(frame.columns)}
    hashed = pd.util.hash_pandas_object(pd.DataFrame(columns), index=False)
    return _mixed(hashed.to_numpy(dtype=np.uint64) ^ _mixed(np.array([seed])))


def _hashable(column: "pd.Series[Any]") -> "pd.Series[Any]":
    if pd.api.types.is_numeric_dtype(column.dtype):
        # Adding zero makes one value of 0.0 and -0.0.
        return column.astype(np.float64) + 0.0
    return column.astype("category")


def _mixed(value: NDArray[Any]) -> NDArray[np.uint64]:
    """The finaliser of splitmix64: every bit of the input moves every bit out."""
    with np.errstate(over="ignore"):
        mixed = value.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return mixed ^ (mixed >> np.uint64(31))


def _lowest_of_each_class(
    hashes: NDArray[np.uint64], y: NDArray[np.int64], test_size: float
) -> NDArray[np.bool_]:
    mask = np.zeros(len(y), dtype=bool)
    for label in np.unique(y):
        rows = np.flatnonzero(y == label)
        # A class of two rows or more is found on both sides.
        most = max(len(rows) - 1, 0)
        count = min(max(round(len(rows) * test_size), 1), most)
        # Stable: identical rows stand together, and the cut may part one group at most.
        mask[rows[np.argsort(hashes[rows], kind="stable")[:count]]] = True
    return mask


def _latest(frame: pd.DataFrame, column: str, test_size: float) -> NDArray[np.bool_]:
    if column not in frame.columns:
        raise SplitError(
            f"split by time needs the column '{column}'; the data has"
            f" {', '.join(map(str, frame.columns))}"
        )
    moments = _as_moments(frame[column])
    known = np.sort(moments[~np.isnan(moments)])
    if not len(known):
        raise SplitError(f"split by time: column '{column}' has no value")
    cut = known[-max(round(len(known) * test_size), 1)]
    return np.asarray(moments >= cut)


def _as_moments(column: "pd.Series[Any]") -> NDArray[np.float64]:
    """Numbers as they are, texts as dates."""
    if pd.api.types.is_numeric_dtype(column.dtype):
        return np.asarray(column.to_numpy(dtype=np.float64, na_value=np.nan))
    try:
        dates = pd.to_datetime(column.astype(object), utc=True, format="ISO8601")
    except (ValueError, TypeError) as error:
        raise SplitError(
            f"split by time: column '{column.name}' must hold numbers or ISO dates"
            f" such as 2026-11-23: {error}"
        ) from error
    seconds = (dates - pd.Timestamp(0, tz="UTC")) / pd.Timedelta(seconds=1)
    return np.asarray(seconds.to_numpy(dtype=np.float64))


def check_mask(mask: NDArray[np.bool_], y: NDArray[np.int64]) -> None:
    """Refuse a division that nothing could be learnt from.

    Raises
    ------
    SplitError
        If training or test would have no rows, or training only one class.
    """
    if not mask.any() or mask.all():
        raise SplitError(
            f"the split gives {int((~mask).sum()):,} training rows and"
            f" {int(mask.sum()):,} test rows; both need at least one"
        )
    if len(np.unique(y[~mask])) < 2:
        raise SplitError(
            "the split leaves one class to train on; both are needed"
            f" (of {int((~mask).sum()):,} rows, {int(y[~mask].sum()):,} are positive)"
        )
