"""The prediction interval of a version, by errors on folds of its training rows.

Each training row is scored by a pipeline that was not fitted on it, and the errors of
all folds are taken together: the cross-conformal predictor (Vovk, 2015, Annals of
Mathematics and Artificial Intelligence 74) with the one interval about the value of the
pipeline that learnt all rows. So no row is lost to calibration. No test row has a part
in it: they show which coverage there is.
"""

from dataclasses import replace
from typing import Any

import pandas as pd

from ml_assets.ml.estimators import EstimatorError
from ml_assets.ml.out_of_fold import out_of_fold
from ml_assets.ml.prediction_interval import interval_of
from ml_assets.ml.split import SplitError
from ml_assets.ml.tasks import Outcomes, Regression, Task
from ml_assets.spec.split import SplitSpec

FOLDS = 5


def with_interval(
    task: Task,
    pipeline: Any,
    table: pd.DataFrame,
    x: pd.DataFrame,
    y: Outcomes,
    level: float | None,
    split: SplitSpec,
) -> tuple[Task, list[str]]:
    """The task with the interval of a level, if there is one, and a note on it.

    Parameters
    ----------
    pipeline : Pipeline
        Its clones are fitted on folds.
    table : DataFrame of shape (n_rows, n_columns)
        The training rows of a feature table.
    x, y : DataFrame and ndarray of shape (n_rows,)
        Their inputs and their target.
    split : SplitSpec
        Folds are divided as the test rows are.

    Raises
    ------
    EstimatorError
        If there are too few rows for the level, or a fold cannot be fitted.
    SplitError
        If the rows have too few moments for so many folds.
    """
    if level is None or not isinstance(task, Regression):
        return task, []
    try:
        given = pipeline, table, x, y, split
        known, answers = out_of_fold(task, *given, FOLDS, "interval")
        interval = interval_of(answers - y[known], level)
    except SplitError:
        raise
    except ValueError as error:
        raise EstimatorError(
            f"interval cannot be found on {FOLDS} folds of {len(y):,} training rows:"
            f" {error}; lower it, or give more rows"
        ) from error
    note = (
        f"interval: the value ± {interval.half_width:.4g} held {level:.0%} of"
        f" {interval.rows:,} training rows, each scored by a fold that did not learn it"
    )
    return replace(task, interval=interval), [note]
