"""Permutation importance: which raw columns a fitted pipeline depends on.

scikit-learn's `permutation_importance` predicts once a repeat, which takes six times as
long on a hundred rows, in every training.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import rankdata

from ml_assets.ml.frames import plain_texts, with_columns

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
    random = np.random.default_rng(SEED)
    chosen = random.permutation(len(x))[:rows]
    sample, truth = plain_texts(x.iloc[chosen]), y[chosen]
    if len(np.unique(truth)) < 2:
        return []
    whole = _aucs(pipeline, sample, truth)[0]
    # All repeats of a column are one call: on few rows, the call is what costs.
    tiled = sample.iloc[np.tile(np.arange(len(sample)), repeats)]
    shuffled = [random.permutation(len(sample)) for _ in range(repeats)]
    result = []
    for name in sample.columns:
        values = sample[name].iloc[np.concatenate(shuffled)]
        frame = with_columns(tiled, {name: values.set_axis(tiled.index)})
        lost = whole - _aucs(pipeline, frame, truth)
        result.append(Importance(str(name), float(lost.mean()), float(lost.std())))
    return sorted(result, key=lambda item: -item.mean)


def _aucs(pipeline: Any, x: pd.DataFrame, y: NDArray[np.int64]) -> NDArray[np.float64]:
    """ROC AUC of each block of ``len(y)`` rows, by the ranks of the positive ones."""
    probability = pipeline.predict_proba(x)[:, 1].reshape(-1, len(y))
    positive = int(y.sum())
    least = positive * (positive + 1) / 2
    ranks = rankdata(probability, axis=1)[:, y == 1].sum(axis=1)
    return np.asarray((ranks - least) / (positive * (len(y) - positive)))
