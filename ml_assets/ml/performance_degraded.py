"""Whether a version does worse live than evaluation promised, asked again and again."""

import math
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import ArrayLike, NDArray

from ml_assets.ml.intervals import wilson
from ml_assets.ml.sequential.bernoulli import log_e_above

# Pseudo-observations behind the alternative: looks for drops of a few points first.
CONCENTRATION = 100.0


class Degradation(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a metric is below what evaluation promised.

    Parameters
    ----------
    metric : {'accuracy', 'roc_auc'}
    limit : float
        What the live figure is held against: the lower confidence bound of the offline
        one, less the margin.
    n : int
        Labels, or pairs of a positive and a negative, that were looked at.
    log_e, highest_log_e, threshold : float
        Log e-value now, the highest so far, and what it must reach.
    degraded : bool
        Whether it ever did.
    sentence : str
        The finding in words.
    """

    metric: Literal["accuracy", "roc_auc"]
    limit: float
    n: int
    log_e: float
    highest_log_e: float
    threshold: float
    degraded: bool
    sentence: str


def accuracy_degraded(
    right: ArrayLike,
    offline: float,
    offline_rows: int,
    *,
    margin: float = 0.02,
    alpha: float = 0.01,
) -> Degradation:
    """Whether live accuracy is below the offline figure; valid at every look.

    Half of `alpha` goes into the lower confidence bound of the offline accuracy, half
    into an e-process against "live accuracy is not below that bound, less `margin`".

    Parameters
    ----------
    right : array-like of bool, shape (n_labels,)
        Whether each answer was its label, in the order in which labels arrived, from
        the first: a later look adds to the end.
    offline : float
        Accuracy in evaluation.
    offline_rows : int
        Test rows behind it.
    margin : float
        Loss that is accepted, in accuracy.
    alpha : float
        Chance of ever calling a version degraded that is not.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> accuracy_degraded(rng.random(3_000) < 0.87, 0.87, 6_000).degraded
    False
    >>> accuracy_degraded(rng.random(3_000) < 0.78, 0.87, 6_000).degraded
    True
    """
    flags = np.asarray(right, dtype=np.float64)
    bound, _ = wilson(offline, offline_rows, 1 - alpha)
    return _degraded("accuracy", flags, bound - margin, alpha / 2)


def auc_degraded(
    probability: ArrayLike,
    label: ArrayLike,
    offline_low: float,
    *,
    margin: float = 0.02,
    alpha: float = 0.01,
) -> Degradation:
    """Whether live AUC is below the offline figure; valid at every look.

    Each positive is paired with one negative, in the order of arrival; the AUC is the
    chance that it has the higher probability, ties counting half.

    Parameters
    ----------
    probability : array-like of shape (n_labels,)
        Predicted probabilities, in the order in which labels arrived, from the first.
    label : array-like of bool or 0 and 1, shape (n_labels,)
        What turned out.
    offline_low : float
        Lower limit of the offline AUC's interval with confidence ``1 - alpha``, from
        `auc_interval`: its lower side spends half of `alpha`.
    margin : float
        Loss that is accepted, in AUC.
    alpha : float
        Chance of ever calling a version degraded that is not.
    """
    score, truth = np.asarray(probability, np.float64), np.asarray(label, dtype=bool)
    pairs = min(int(truth.sum()), int((~truth).sum()))
    gap = score[truth][:pairs] - score[~truth][:pairs]
    return _degraded("roc_auc", (1 + np.sign(gap)) / 2, offline_low - margin, alpha / 2)


def _degraded(
    metric: Literal["accuracy", "roc_auc"],
    good: NDArray[np.float64],
    limit: float,
    alpha: float,
) -> Degradation:
    name = "accuracy" if metric == "accuracy" else "ROC AUC"
    if not 0 < limit < 1:
        raise ValueError(f"{name} cannot be held against {limit}")
    threshold = -math.log(alpha)
    if not len(good):
        log_e = np.zeros(1)
    else:
        passed = np.cumsum(good)
        failed = np.arange(1, len(good) + 1) - passed
        log_e = log_e_above(failed, passed, 1 - limit, CONCENTRATION)
    highest = max(float(log_e.max()), 0.0)
    degraded = highest >= threshold
    live = f"{good.mean():.4f}" if len(good) else "unknown"
    relation = "is below" if degraded else "is not shown to be below"
    what = "labels" if metric == "accuracy" else "pairs"
    return Degradation(
        metric=metric,
        limit=limit,
        n=len(good),
        log_e=float(log_e[-1]),
        highest_log_e=highest,
        threshold=threshold,
        degraded=degraded,
        sentence=f"live {name} {live} over {len(good):,} {what} {relation} {limit:.4f}",
    )
