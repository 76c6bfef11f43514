"""Permutation importance: which raw columns a fitted pipeline depends on.

scikit-learn's `permutation_importance` predicts once a repeat, which takes six times as
long on a hundred rows, in every training.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ml_assets.ml.frames import plain_texts, with_columns
from ml_assets.ml.tasks.task import Outcomes, Task

SEED = 0


@dataclass(frozen=True)
class Importance:
    """Skill that is lost when `column` is shuffled: mean and spread of repeats."""

    column: str
    mean: float
    std: float


def importances(
    pipeline: Any,
    x: pd.DataFrame,
    y: Outcomes,
    task: Task,
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
        Their target as `task` encodes it.
    task : Task
        Its ``skill`` is what is lost: ROC AUC, log probability, or nearness.
    rows : int
        At most so many of them are used, drawn with a fixed seed.
    repeats : int
        Shuffles of each column.

    Returns
    -------
    list of Importance
        Empty where the rows drawn do not define the skill.
    """
    random = np.random.default_rng(SEED)
    chosen = random.permutation(len(x))[:rows]
    sample, truth = plain_texts(x.iloc[chosen]), y[chosen]
    if len(np.unique(truth)) < 2:
        return []
    whole = task.skill(truth, task.answers(pipeline, sample))[0]
    # All repeats of a column are one call: on few rows, the call is what costs.
    tiled = sample.iloc[np.tile(np.arange(len(sample)), repeats)]
    shuffled = [random.permutation(len(sample)) for _ in range(repeats)]
    result = []
    for name in sample.columns:
        values = sample[name].iloc[np.concatenate(shuffled)]
        frame = with_columns(tiled, {name: values.set_axis(tiled.index)})
        lost = whole - task.skill(truth, task.answers(pipeline, frame))
        result.append(Importance(str(name), float(lost.mean()), float(lost.std())))
    return sorted(result, key=lambda item: -item.mean)
