"""Live figures that several tasks have, and whether they are worse than promised.

What was promised are the figures of evaluation and of the reference profile, by name.
"""

import math
from collections.abc import Mapping, Sequence
from statistics import NormalDist

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from ml_assets.ml.intervals import wilson
from ml_assets.ml.performance import Figure, known
from ml_assets.ml.prediction_interval import coverage_lower_bound
from ml_assets.ml.sequential.degradation import (
    Degradation,
    accuracy_degraded,
    coverage_degraded,
    loss_degraded,
    mean_upper_bound,
)
from ml_assets.ml.sequential.losses import Scale
from ml_assets.ml.tasks.labels import spelling
from ml_assets.ml.tasks.task import Floats, Outcomes, Task
from ml_assets.records.plan import Interval, Label

# Chance of ever calling a version degraded that is not.
ALPHA = 0.01
# Part of the offline loss by which the live one may exceed it.
MARGIN = 0.1
# Coverage by which live intervals may fall short.
COVERAGE_MARGIN = 0.02


def outcomes(task: Task, rows: pd.DataFrame) -> tuple[Task, Outcomes, Floats]:
    """Labelled answers of the prediction log: the task with the rows, truth, answers.

    Parameters
    ----------
    rows : DataFrame of shape (n_rows, ...)
        ``truth`` (as text), what the task makes answers of, and ``inputs``, the rows as
        mappings by column, where the task needs rows.
    """
    if task.needs_rows:
        task = task.with_rows(pd.DataFrame(rows["inputs"].tolist()))
    return task, task.truths(rows["truth"]), task.logged(rows[task.column])


def class_numbers(
    texts: "pd.Series[str]", labels: Sequence[Label]
) -> NDArray[np.int64]:
    """The position in `labels` of each class that turned out; -1 for what is no class.

    Examples
    --------
    >>> class_numbers(pd.Series(["2", "1", "x"]), [1, 2]).tolist()
    [1, 0, -1]
    """
    keys = {spelling(label): number for number, label in enumerate(labels)}
    numbers = {text: keys.get(spelling(text), -1) for text in texts.unique()}
    return np.array([numbers[text] for text in texts], dtype=np.int64)


def accuracy(right: NDArray[np.bool_], confidence: float) -> Figure:
    """The share of right answers, with Wilson's interval.

    Examples
    --------
    >>> accuracy(np.array([True, True, False, True]), 0.95).value
    0.75
    """
    share = float(right.mean())
    return Figure(share, *wilson(share, len(right), confidence))


def mean(values: Floats, confidence: float) -> Figure:
    """The mean of values from 0 up, with an interval by its standard error.

    Examples
    --------
    >>> mean(np.array([1.0, 2.0, 3.0]), 0.95).value
    2.0
    """
    found = float(values.mean())
    if len(values) < 2:
        return Figure(known(found))
    margin = NormalDist().inv_cdf((1 + confidence) / 2) * float(stats.sem(values))
    return Figure(known(found), known(max(found - margin, 0.0)), known(found + margin))


def offline_loss(losses: Floats) -> dict[str, float]:
    """The mean loss of held-out rows, and what the true one hardly exceeds."""
    return {
        "mean_loss": float(losses.mean()),
        "mean_loss_high": mean_upper_bound(losses, ALPHA / 2),
    }


def accuracy_degradations(
    right: NDArray[np.bool_], offline: Mapping[str, float]
) -> list[Degradation]:
    """Whether accuracy is below that of evaluation; nothing where that is unknown."""
    promised = offline.get("accuracy", math.nan)
    if math.isnan(promised):
        return []
    rows = int(offline["rows"])
    return [accuracy_degraded(right, promised, rows, alpha=ALPHA)]


def coverage_degradations(
    inside: NDArray[np.bool_], interval: Interval
) -> list[Degradation]:
    """Whether fewer outcomes are inside of their intervals than are expected to be.

    Nothing where so few rows made the intervals that any coverage is in accord.
    """
    low = coverage_lower_bound(interval, ALPHA / 2)
    if low <= COVERAGE_MARGIN:
        return []
    found = coverage_degraded(inside, low, margin=COVERAGE_MARGIN, alpha=ALPHA)
    return [found]


def loss_degradations(
    losses: Floats, offline: Mapping[str, float], scale: Scale
) -> list[Degradation]:
    """Whether the mean loss is above that of the held-out rows.

    Nothing where that is unknown, or where so few rows were held out that any mean
    below the bound is in accord with it.
    """
    high = offline.get("mean_loss_high", math.nan)
    if not high * (1 + MARGIN) < 1:
        return []
    return [loss_degraded(losses, high, scale=scale, margin=MARGIN, alpha=ALPHA)]
