"""Live figures of each version, day by day, with confidence intervals."""

import math
from collections.abc import Mapping
from statistics import NormalDist
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, logit

if TYPE_CHECKING:
    from ml_assets.ml.tasks.task import Task


class Figure(msgspec.Struct, frozen=True):
    """One live metric; None where the labels do not define it, or its interval."""

    value: float | None
    low: float | None = None
    high: float | None = None


class Period(msgspec.Struct, frozen=True, kw_only=True):
    """Figures of one version on one day, of which there is at least one label.

    ``day`` is None for all days together. The first of the ``figures`` is the main one
    of the task; intervals are two-sided.
    """

    version: str
    day: str | None
    n: int
    figures: dict[str, Figure]

    @property
    def main(self) -> str:
        """Name of the main figure."""
        return next(iter(self.figures))


def by_day(
    joined: pd.DataFrame, tasks: "Mapping[str, Task]", confidence: float = 0.95
) -> list[Period]:
    """Live figures of each version on each day, and on all days.

    Parameters
    ----------
    joined : DataFrame of shape (n_labels, ...)
        Answers with their labels: ``version``, ``day``, and the columns of
        `~ml_assets.ml.tasks.live.outcomes`.
    tasks : mapping of str to Task
        By version.
    confidence : float
        Of each interval.

    Examples
    --------
    >>> from ml_assets.ml.tasks import Binary
    >>> joined = pd.DataFrame({
    ...     "version": "20261123T020000Z", "day": "2026-11-23",
    ...     "p": [0.9, 0.2, 0.7, 0.4], "truth": ["yes", "no", "no", "no"],
    ... })
    >>> period = by_day(joined, {"20261123T020000Z": Binary("no", "yes")})[0]
    >>> period.day, period.n, period.figures["accuracy"].value
    ('2026-11-23', 4, 0.75)
    """
    from ml_assets.ml.tasks.live import outcomes

    periods = []
    for version, rows in joined.groupby("version", sort=True, observed=True):
        task, days = tasks[str(version)], rows["day"].to_numpy()
        for day in (*sorted(set(days)), None):
            some = rows if day is None else rows[days == day]
            bound, y, answers = outcomes(task, some)
            found = Period(
                version=str(version),
                day=day,
                n=len(some),
                figures=bound.live(y, answers, confidence),
            )
            periods.append(found)
    return periods


def known(figure: float) -> float | None:
    """NaN as None: JSON has no number for it."""
    return None if math.isnan(figure) else figure


def auc_interval(
    probability: ArrayLike, label: ArrayLike, confidence: float = 0.95
) -> tuple[float, float, float]:
    """ROC AUC, and the limits of its two-sided confidence interval.

    The variance is DeLong's (1988), by ranks as Sun and Xu (2014) do it. The limits are
    set on the log-odds of the AUC, so that they stay within 0 and 1.

    Parameters
    ----------
    probability : array-like of shape (n,)
        Predicted probabilities of the positive class.
    label : array-like of bool or 0 and 1, shape (n,)
        What turned out.
    confidence : float
        Of the interval.

    Returns
    -------
    tuple of float
        AUC, lower and upper limit; NaN where a class does not occur.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> label = rng.random(500) < 0.3
    >>> score = rng.normal(size=500) + label
    >>> [round(value, 3) for value in auc_interval(score, label)]
    [0.768, 0.718, 0.813]
    """
    score, truth = np.asarray(probability, np.float64), np.asarray(label, dtype=bool)
    positive, negative = score[truth], score[~truth]
    if not len(positive) or not len(negative):
        return math.nan, math.nan, math.nan
    # For each row the share of the other class that it is on the right side of.
    above = _share_below(positive, negative)
    below = 1 - _share_below(negative, positive)
    auc = float(above.mean())
    variance = _variance(above) + _variance(below)
    if not 0 < auc < 1 or not variance > 0:
        return auc, *_without_variance(auc, len(positive), len(negative), confidence)
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    margin = z * math.sqrt(variance) / (auc * (1 - auc))
    centre = float(logit(auc))
    return auc, float(expit(centre - margin)), float(expit(centre + margin))


def _share_below(
    values: NDArray[np.float64], others: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Share of `others` below each value; equal ones count half."""
    ordered = np.sort(others)
    less = np.searchsorted(ordered, values, side="left")
    upto = np.searchsorted(ordered, values, side="right")
    return np.asarray((less + upto) / (2 * len(others)))


def _variance(parts: NDArray[np.float64]) -> float:
    return float(parts.var(ddof=1) / len(parts)) if len(parts) > 1 else math.inf


def _without_variance(
    auc: float, positives: int, negatives: int, confidence: float
) -> tuple[float, float]:
    """Limits where ranks show no variation, as after a perfect separation.

    Disjoint pairs of a positive and a negative are independent trials: if all of k come
    out right, the AUC is above the k-th root of the error allowed.
    """
    pairs = min(positives, negatives)
    least = ((1 - confidence) / 2) ** (1 / pairs)
    if auc == 1:
        return least, 1.0
    if auc == 0:
        return 0.0, 1 - least
    return 0.0, 1.0
