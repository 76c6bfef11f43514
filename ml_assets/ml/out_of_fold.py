"""Answers to training rows by pipelines that were not fitted on them."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.model_selection import check_cv

from ml_assets.core import progress
from ml_assets.ml.folds import folds_of, groups_of
from ml_assets.ml.tasks.task import Floats, Outcomes, Task
from ml_assets.spec.split import SplitSpec


def out_of_fold(
    task: Task,
    pipeline: Any,
    table: pd.DataFrame,
    x: pd.DataFrame,
    y: Outcomes,
    split: SplitSpec,
    count: int,
    key: str,
) -> tuple[NDArray[np.bool_], Floats]:
    """Which rows a fold scores, and the answers to those.

    With rolling origins, the earliest rows are in none.

    Parameters
    ----------
    task : Task
        Of one number a row.
    pipeline : Pipeline
        Its clones are fitted on folds.
    table : DataFrame of shape (n_rows, n_columns)
        The training rows of a feature table.
    x, y : DataFrame and ndarray of shape (n_rows,)
        Their inputs, and their target as the task encodes it.
    split : SplitSpec
        Folds are divided as the test rows are.
    count : int
        Folds.
    key : str
        Of the YAML, that asks for them.

    Raises
    ------
    ValueError
        If a fold cannot be made or fitted, or answers no number.
    SplitError
        If the rows have too few moments for so many folds.
    """
    groups = groups_of(table, split, list(x.columns))
    folds = folds_of(table, split, count, groups is not None, task.labels, key)
    progress.report(f"{count} folds, for {key}")
    answers, is_scored = np.full(len(y), np.nan), np.zeros(len(y), dtype=bool)
    for fitted, scored in check_cv(folds).split(x, y, groups):
        if task.labels and len(np.unique(y[fitted])) < 2:
            raise ValueError("the others of a fold are of one class")
        trial = clone(pipeline).fit(x.iloc[fitted], y[fitted])
        answers[scored] = task.answers(trial, x.iloc[scored])
        is_scored[scored] = True
    if np.isnan(answers[is_scored]).any():
        raise ValueError("an answer is no number")
    return is_scored, answers[is_scored]
