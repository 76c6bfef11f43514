"""The folds of a search: as the test rows are held out, so that none of them leaks.

Rows of a group are in one fold. Where the test rows are the latest, each fold is a
rolling origin: fitted on what was before it, and scored on what came next (Tashman,
2000, International Journal of Forecasting).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.model_selection import (
    GroupKFold,
    KFold,
    StratifiedGroupKFold,
    StratifiedKFold,
)

from ml_assets.ml.cell_hashes import Hashes
from ml_assets.ml.row_identity import Identity, row_hashes
from ml_assets.ml.split import SplitError, moments_of
from ml_assets.spec.split import SplitSpec

SEED = 0


def groups_of(
    table: pd.DataFrame, split: SplitSpec, inputs: Sequence[str]
) -> Hashes | None:
    """The group of each row, which no fold divides; None where there are none.

    Parameters
    ----------
    table : DataFrame of shape (n_rows, n_columns)
        The training rows of a feature table.
    inputs : sequence of str
        The columns that identify a row without a group.
    """
    together = [names for names in split.together if {*names} <= {*table.columns}]
    if not together:
        return None
    return row_hashes(table, Identity(tuple(inputs), together=tuple(together)))


def folds_of(
    table: pd.DataFrame,
    split: SplitSpec,
    count: int,
    grouped: bool,
    classes: Sequence[Any] = (0, 1),
    key: str = "search.folds",
) -> Any:
    """What scikit-learn takes for ``cv``.

    Parameters
    ----------
    table : DataFrame of shape (n_rows, n_columns)
        The training rows of a feature table.
    grouped : bool
        Whether the rows have groups.
    classes : sequence
        Of which each fold has its share; none where the target is a number.
    key : str
        Of the YAML, that asks for so many folds.

    Raises
    ------
    SplitError
        If the rows have too few moments for so many rolling origins.
    """
    if split.type == "time":
        return rolling_origins(moments_of(table[str(split.column)]), count, key)
    if split.type == "order":
        return rolling_origins(np.arange(len(table), dtype=np.float64), count, key)
    if not classes:
        kind = GroupKFold if grouped else KFold
    else:
        kind = StratifiedGroupKFold if grouped else StratifiedKFold
    return kind(count, shuffle=True, random_state=SEED)


def rolling_origins(
    moments: NDArray[np.float64], count: int, key: str = "search.folds"
) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Positions of the rows to fit on and to score, for each of `count` origins.

    Parameters
    ----------
    moments : ndarray of shape (n_rows,)
        When each row was; rows of one moment stay together, and rows without one (NaN)
        are always fitted on.

    Raises
    ------
    SplitError
        If there are too few moments.

    Examples
    --------
    >>> found = rolling_origins(np.array([1.0, 2, 3, 4, 5, 6]), 2)
    >>> [(fit.tolist(), score.tolist()) for fit, score in found]
    [([0, 1], [2, 3]), ([0, 1, 2, 3], [4, 5])]
    """
    known = np.sort(moments[~np.isnan(moments)])
    at = [round(len(known) * step / (count + 1)) for step in range(1, count + 1)]
    cuts = [*(known[at] if len(known) > count else []), np.inf]
    if len({*cuts}) < count + 1 or cuts[0] == known[0]:
        raise SplitError(
            f"{key}: {count} rolling origins need more moments than the"
            f" {len(np.unique(known)):,} of the training rows; lower it"
        )
    return [
        (
            np.flatnonzero(~(moments >= start)),
            np.flatnonzero((moments >= start) & (moments < end)),
        )
        for start, end in zip(cuts, cuts[1:])
    ]
