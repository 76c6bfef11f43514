"""Which raw columns a fitted pipeline leans on."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.inspection import permutation_importance

from ml_assets.ml.columns import plain_texts

SEED = 0


@dataclass(frozen=True)
class Importance:
    """ROC AUC that is lost when `column` is shuffled: mean and spread of repeats."""

    column: str
    mean: float
    std: float


def importances(
    pipeline: Any,
    x: pd.DataFrame,
    y: NDArray[np.int64],
    rows: int = 2_000,
    repeats: int = 5,
) -> list[Importance]:
    """Permutation importance of each raw column, the most important first.

    Parameters
    ----------
    pipeline : Pipeline
        Fitted.
    x : DataFrame of shape (n_rows, n_inputs)
        Rows that it was not trained on.
    y : ndarray of shape (n_rows,)
        Their target as 0 and 1.
    rows : int
        At most so many of them are used, drawn with a fixed seed.
    repeats : int
        Shuffles of each column.

    Returns
    -------
    list of Importance
        Empty where the rows drawn are of one class, which defines no ROC AUC.
    """
    chosen = np.random.default_rng(SEED).permutation(len(x))[:rows]
    sample, truth = plain_texts(x.iloc[chosen]), y[chosen]
    if len(np.unique(truth)) < 2:
        return []
    found = permutation_importance(
        pipeline,
        sample,
        truth,
        scoring="roc_auc",
        n_repeats=repeats,
        random_state=SEED,
    )
    result = [
        Importance(str(name), float(mean), float(std))
        for name, mean, std in zip(
            x.columns, found.importances_mean, found.importances_std
        )
    ]
    return sorted(result, key=lambda item: -item.mean)
