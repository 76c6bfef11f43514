"""The threshold of a version: as its YAML names it, or tuned on its training rows.

A tuned one costs least on out-of-fold probabilities, as scikit-learn's
`TunedThresholdClassifierCV` has it: each training row is scored by a pipeline that was
not fitted on it. No test row has a part in it.
"""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from ml_assets.ml.estimators import EstimatorError
from ml_assets.ml.out_of_fold import out_of_fold
from ml_assets.ml.split import SplitError
from ml_assets.ml.tasks import Binary, Outcomes, Task
from ml_assets.ml.tasks.costs import (
    Costs,
    costs_of,
    least_cost_threshold,
    mean_costs,
)
from ml_assets.records.plan import HALF
from ml_assets.spec.decision import TUNED, DecisionSpec
from ml_assets.spec.split import SplitSpec


def with_decision(task: Task, decision: DecisionSpec | None) -> Task:
    """The task with the costs of a YAML, and with its threshold unless that is tuned.

    Examples
    --------
    >>> with_decision(Binary("no", "yes", 0.9), DecisionSpec(threshold=0.3)).threshold
    0.3
    >>> with_decision(Binary("no", "yes", 0.9), None).threshold
    0.5
    """
    if not isinstance(task, Binary):
        return task
    given = HALF if decision is None else decision.threshold
    threshold = HALF if given == TUNED else float(given)
    return replace(task, threshold=threshold, costs=costs_of(decision))


def tuned(
    task: Task,
    pipeline: Any,
    table: pd.DataFrame,
    x: pd.DataFrame,
    y: Outcomes,
    decision: DecisionSpec | None,
    split: SplitSpec,
) -> tuple[Task, list[str]]:
    """The task with the threshold of least cost, and a note on it, where it is tuned.

    Parameters
    ----------
    task : Task
        With the classes and the costs.
    pipeline : Pipeline
        Its clones are fitted on folds.
    table : DataFrame of shape (n_rows, n_columns)
        The training rows of a feature table.
    x, y : DataFrame and ndarray of shape (n_rows,)
        Their inputs, and their target as the task encodes it.
    decision : DecisionSpec, optional
    split : SplitSpec
        Folds are divided as the test rows are.

    Raises
    ------
    EstimatorError
        If a fold has one class only.
    FeatureError
        If the rows do not have the column of the amount.
    SplitError
        If the rows have too few moments for so many folds.
    """
    if decision is None or decision.threshold != TUNED:
        return task, []
    if not isinstance(task, Binary) or task.costs is None:
        return task, []
    known, p = _out_of_fold(task, pipeline, table, x, y, decision.folds, split)
    truth, costs = y[known], task.costs.with_rows(table[known])
    found = least_cost_threshold(truth, p, costs)
    return replace(task, threshold=found), [_note(found, truth, p, costs)]


def _out_of_fold(
    task: Binary,
    pipeline: Any,
    table: pd.DataFrame,
    x: pd.DataFrame,
    y: Outcomes,
    count: int,
    split: SplitSpec,
) -> tuple[Any, Any]:
    """Which rows a fold scores, and their probabilities."""
    try:
        return out_of_fold(task, pipeline, table, x, y, split, count, "decision.folds")
    except SplitError:
        raise
    except ValueError as error:
        raise EstimatorError(
            f"decision.threshold cannot be tuned on {count} folds of {len(y):,}"
            f" training rows, of which {int(y.sum()):,} are {task.positive!r}: {error};"
            " lower decision.folds, or name a threshold"
        ) from error


def _note(threshold: float, y: Outcomes, p: Any, costs: Costs) -> str:
    own, half = mean_costs(y, p, costs, np.array([threshold, HALF]))
    constant = costs.best_constant(y).mean()
    return (
        f"threshold {threshold:.4g} tuned on folds of {len(y):,} training rows, where a"
        f" row costs {own:.4g} on average; at {HALF:g} {half:.4g}, and with the best"
        f" constant decision {constant:.4g}"
    )
