"""Which rows are held out to test: the same rows, whenever it is asked.

Each row has a hash of its raw cells and of the seed (see
`~ml_assets.ml.row_identity`), and the rows whose hash is below the share `test_size` of
all hashes are the test rows. So a row stays on its side for ever, whatever is added,
dropped, cast or derived beside it, and identical rows are on one side, as are those of
one group or key.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ml_assets.ml.row_identity import Identity, row_hashes
from ml_assets.spec.split import MinimumSpec, SplitSpec


class SplitError(ValueError):
    """Rows that cannot be divided as the model's YAML asks for."""


def held_out(
    frame: pd.DataFrame,
    y: NDArray[Any],
    spec: SplitSpec,
    identity: Identity,
    classes: Sequence[Any] = (0, 1),
) -> NDArray[np.bool_]:
    """True for the rows that are held out.

    Parameters
    ----------
    frame : DataFrame of shape (n_rows, n_columns)
        The raw rows.
    y : ndarray of shape (n_rows,)
        The target as numbers of classes, or as it is.
    spec : SplitSpec
        ``stratified``: about the share `test_size`, and some of each class. ``time``:
        the latest rows; rows of one moment stay together, and rows without a time are
        trained on. ``order``: the last rows of the table.
    identity : Identity
        What identifies the rows; only ``stratified`` asks.
    classes : sequence
        The classes of the target; none where it is a number.

    Raises
    ------
    SplitError
        If training or test would have no rows, or training none of a class.

    Examples
    --------
    >>> frame = pd.DataFrame({"a": range(1_000)})
    >>> y = np.array([0, 1] * 500)
    >>> int(held_out(frame, y, SplitSpec(test_size=0.4), Identity(("a",))).sum())
    382
    >>> held_out(frame, y, SplitSpec(type="order"), Identity(()))[798:802].tolist()
    [False, False, True, True]
    """
    if spec.type == "file":
        raise SplitError("split type 'file' brings its own rows: use with_test_rows")
    if spec.type == "time":
        mask = _latest(frame, str(spec.column), spec.test_size)
    elif spec.type == "order":
        last = max(round(len(frame) * spec.test_size), 1)
        mask = np.arange(len(frame)) >= len(frame) - last
    else:
        hashes = row_hashes(frame, identity, spec.seed)
        groups = y if classes else np.zeros(len(y), dtype=np.int64)
        mask = _of_each_class(hashes, groups, spec.test_size)
    check_mask(mask, y, classes)
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


def _of_each_class(
    hashes: NDArray[np.uint64], y: NDArray[Any], test_size: float
) -> NDArray[np.bool_]:
    mask = hashes < np.uint64(int(test_size * 2.0**64))
    for label in np.unique(y):
        # A class so rare that it is on one side: the nearest of its rows changes it.
        of_class = hashes[y == label]
        if of_class.min() == of_class.max():
            continue
        if not mask[y == label].any():
            mask |= hashes == of_class.min()
        elif mask[y == label].all():
            mask &= hashes != of_class.max()
    return mask


def _latest(frame: pd.DataFrame, column: str, test_size: float) -> NDArray[np.bool_]:
    if column not in frame.columns:
        raise SplitError(
            f"split by time needs the column '{column}'; the data has"
            f" {', '.join(map(str, frame.columns))}"
        )
    moments = moments_of(frame[column])
    known = np.sort(moments[~np.isnan(moments)])
    if not len(known):
        raise SplitError(f"split by time: column '{column}' has no value")
    cut = known[-max(round(len(known) * test_size), 1)]
    return np.asarray(moments >= cut)


def moments_of(column: "pd.Series[Any]") -> NDArray[np.float64]:
    """When each row was: numbers as they are, ISO dates as seconds, NaN for missing.

    Raises
    ------
    SplitError
        If the column holds something else.
    """
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


def check_mask(
    mask: NDArray[np.bool_], y: NDArray[Any], classes: Sequence[Any] = (0, 1)
) -> None:
    """Refuse a division that nothing could be learnt from.

    Raises
    ------
    SplitError
        If training or test would have no rows, or training none of a class.
    """
    if not mask.any() or mask.all():
        raise SplitError(
            f"the split gives {int((~mask).sum()):,} training rows and"
            f" {int(mask.sum()):,} test rows; both need at least one"
        )
    for number, label in enumerate(classes):
        if not (y[~mask] == number).any():
            raise SplitError(
                f"the split leaves no row of the class {label!r} to train on, of"
                f" {int((~mask).sum()):,} training rows; each class is needed"
            )


def check_minimum(
    mask: NDArray[np.bool_],
    y: NDArray[Any],
    minimum: MinimumSpec,
    classes: Sequence[Any] = (0, 1),
) -> None:
    """Refuse test rows that are too few to judge a version by.

    Raises
    ------
    SplitError
        If fewer rows than ``minimum.rows`` are held out, or fewer of a class than
        ``minimum.of_class``.

    Examples
    --------
    >>> check_minimum(np.array([True, False]), np.array([0, 1]), MinimumSpec())
    Traceback (most recent call last):
    ...
    ml_assets.ml.split.SplitError: the split gives 1 test row of 2, expected at least \
10 (split.minimum.rows): give more data or a larger split.test_size, or lower the \
minimum
    """
    remedy = "give more data or a larger split.test_size, or lower the minimum"
    held = int(mask.sum())
    if held < minimum.rows:
        raise SplitError(
            f"the split gives {held:,} test {_rows(held)} of {len(mask):,}, expected at"
            f" least {minimum.rows:,} (split.minimum.rows): {remedy}"
        )
    for number, label in enumerate(classes):
        held = int((y[mask] == number).sum())
        if held < minimum.of_class:
            raise SplitError(
                f"the split gives {held:,} test {_rows(held)} of the class {label!r},"
                f" expected at least {minimum.of_class:,} (split.minimum.of_class):"
                f" {remedy}"
            )


def _rows(count: int) -> str:
    return "row" if count == 1 else "rows"
