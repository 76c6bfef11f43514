"""How a model would have done at earlier times: its figures over rolling origins."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.pipeline import Pipeline

from ml_assets.core import progress
from ml_assets.ml.estimators import EstimatorError
from ml_assets.ml.folds import folds_of
from ml_assets.ml.frames import plain_texts
from ml_assets.ml.tasks import Outcomes, Task
from ml_assets.spec.split import SplitSpec

# By metric: mean, standard deviation, and the value of each origin, oldest first.
Figures = dict[str, dict[str, Any]]


def backtest(
    pipeline: Pipeline,
    x: pd.DataFrame,
    y: Outcomes,
    table: pd.DataFrame,
    test: NDArray[np.bool_],
    split: SplitSpec,
    task: Task,
) -> Figures:
    """The figures of a pipeline over rolling origins, the last of which are test rows.

    At each earlier origin the pipeline is fitted anew, with the parameters that it has,
    on the training rows before it, and scored on those that came next (Tashman, 2000,
    International Journal of Forecasting).

    Parameters
    ----------
    pipeline : Pipeline
        Fitted on all training rows; it stays as it is.
    x, y : DataFrame and ndarray of shape (n_rows,)
        Inputs and encoded target of all rows.
    table : DataFrame of shape (n_rows, n_columns)
        The feature table, which has the column of the time.
    test : ndarray of bool, shape (n_rows,)
        The rows that were held out.

    Returns
    -------
    dict of str to dict
        ``mean`` and ``spread`` (the standard deviation) of each metric, and ``each``,
        with NaN at an origin before which only one class had rows. Empty where
        ``split.folds`` is not given.

    Raises
    ------
    SplitError
        If the training rows have too few moments for so many origins.
    EstimatorError
        If the estimator cannot be fitted on the rows before one.
    """
    if split.folds is None:
        return {}
    rows = np.flatnonzero(~test)
    folds = folds_of(table[~test], split, split.folds - 1, False, key="split.folds")
    found: list[dict[str, float]] = []
    for number, (before, after) in enumerate(folds, 1):
        progress.report(f"origin {number} of {split.folds}")
        fit, score = rows[before], rows[after]
        if task.labels and len(np.unique(y[fit])) < 2:
            found.append({})
            continue
        try:
            then = clone(pipeline).fit(plain_texts(x.iloc[fit]), y[fit])
        except ValueError as error:
            raise EstimatorError(
                f"split.folds: nothing can be fitted on the {len(fit):,} rows before"
                f" origin {number} of {split.folds}, lower it: {error}"
            ) from error
        found.append(_metrics(then, x.iloc[score], y[score], y[fit], task))
    found.append(_metrics(pipeline, x[test], y[test], y[~test], task))
    return {name: _spread([item.get(name) for item in found]) for name in found[-1]}


def backtest_notes(figures: Figures, metrics: Iterable[str]) -> list[str]:
    """How much some metrics differ between origins, a sentence each."""
    notes = []
    for metric in metrics:
        known = [v for v in figures.get(metric, {}).get("each", ()) if v == v]
        if known:
            notes.append(
                f"{metric} over {len(known)} rolling origins: {np.mean(known):.3f} on"
                f" average, from {min(known):.3f} to {max(known):.3f}; the test rows"
                " are the last"
            )
    return notes


def _metrics(
    pipeline: Pipeline, x: pd.DataFrame, y: Outcomes, training: Outcomes, task: Task
) -> dict[str, float]:
    answers = task.answers(pipeline, x)
    return task.evaluate(y, answers, training=training).metrics


def _spread(values: Sequence[float | None]) -> dict[str, Any]:
    each = [np.nan if value is None else float(value) for value in values]
    known = [value for value in each if value == value]
    if not known:
        return {"mean": np.nan, "spread": np.nan, "each": each}
    return {"mean": float(np.mean(known)), "spread": float(np.std(known)), "each": each}
