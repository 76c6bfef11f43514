"""Live accuracy and ROC AUC of a version, day by day, with confidence intervals."""

import math
from statistics import NormalDist

import msgspec
import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, logit

from ml_assets.ml.intervals import wilson


class Period(msgspec.Struct, frozen=True, kw_only=True):
    """Figures of one version on one day, of which there is at least one label.

    ``day`` is None for all days together. Intervals are two-sided: Wilson's for
    accuracy, DeLong's for AUC, which is None while one class has not occurred, and
    where there are more than two.
    """

    version: str
    day: str | None
    n: int
    positives: int
    accuracy: float
    accuracy_low: float
    accuracy_high: float
    auc: float | None
    auc_low: float | None
    auc_high: float | None


def by_day(joined: pd.DataFrame, confidence: float = 0.95) -> list[Period]:
    """Accuracy and AUC of each version on each day, and on all days.

    Parameters
    ----------
    joined : DataFrame of shape (n_labels, ...)
        Columns ``version``, ``day`` and, of two classes, ``probability`` (of the
        positive one), ``predicted`` and ``label`` (booleans, or 0 and 1); of more
        classes ``right``, whether the class that was answered is the true one.
    confidence : float
        Of each interval.

    Raises
    ------
    KeyError
        If a column is missing.

    Examples
    --------
    >>> joined = pd.DataFrame({
    ...     "version": "20261123T020000Z", "day": "2026-11-23",
    ...     "probability": [0.9, 0.2, 0.7, 0.4], "predicted": [1, 0, 1, 0],
    ...     "label": [1, 0, 0, 0],
    ... })
    >>> period = by_day(joined)[0]
    >>> period.day, period.n, period.accuracy, period.auc
    ('2026-11-23', 4, 0.75, 1.0)
    """
    outcome = [] if "right" in joined.columns else ["probability", "predicted", "label"]
    needed = ["version", "day", *outcome]
    absent = [name for name in needed if name not in joined.columns]
    if absent:
        raise KeyError(
            f"joined labels lack the column '{absent[0]}';"
            f" they have {', '.join(map(str, joined.columns))}"
        )
    periods = []
    for version, rows in joined.groupby("version", sort=True, observed=True):
        days = rows.groupby("day", sort=True, observed=True)
        periods += [
            _period(str(version), str(day), group, confidence) for day, group in days
        ]
        periods.append(_period(str(version), None, rows, confidence))
    return periods


def _period(
    version: str, day: str | None, rows: pd.DataFrame, confidence: float
) -> Period:
    auc: tuple[float, float, float] = (math.nan,) * 3
    positives = 0
    if "right" in rows.columns:
        right = rows["right"].to_numpy(dtype=bool)
    else:
        label = rows["label"].to_numpy(dtype=bool)
        right, positives = rows["predicted"].to_numpy(dtype=bool) == label, label.sum()
        probability = rows["probability"].to_numpy(dtype="float64")
        auc = auc_interval(probability, label, confidence)
    accuracy = float(right.mean())
    low, high = wilson(accuracy, len(rows), confidence)
    area, area_low, area_high = map(_known, auc)
    return Period(
        version=version,
        day=day,
        n=len(rows),
        positives=int(positives),
        accuracy=accuracy,
        accuracy_low=low,
        accuracy_high=high,
        auc=area,
        auc_low=area_low,
        auc_high=area_high,
    )


def _known(figure: float) -> float | None:
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
