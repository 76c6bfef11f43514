"""Whether live performance is below the offline figure: a test valid at any time."""

import math
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import ArrayLike, NDArray

from ml_assets.ml.intervals import wilson

# Rates that are bet on, as shares of the way from the offline figure to the worst.
ALTERNATIVES = (0.02, 0.05, 0.1, 0.2, 0.4, 0.8)
# A change may begin at any multiple of so many labels.
BLOCK = 25


class Degradation(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a live metric is below the offline one.

    Parameters
    ----------
    metric : {'accuracy', 'roc_auc'}
    limit : float
        What the live figure is compared with: the lower confidence bound of the offline
        one, less the margin.
    n : int
        Labels, or pairs of a positive and a negative, that are judged.
    since : int
        How many came before them, and ended with a recovery.
    log_e, threshold : float
        Log e-value now, and what it must reach: against "not below `limit`", and once
        degraded against "not above".
    degraded : bool
        Whether the metric was shown to be below `limit`, and not to be above it since.
    sentence : str
        The finding in words.
    """

    metric: Literal["accuracy", "roc_auc"]
    limit: float
    n: int
    since: int
    log_e: float
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
    """Whether live accuracy is below the offline figure; valid at any time.

    Half of `alpha` goes into the lower confidence bound of the offline accuracy, half
    into an e-process against "live accuracy is not below that bound, less `margin`".

    Parameters
    ----------
    right : array-like of bool, shape (n_labels,)
        Whether each answer was its label, in the order in which labels arrived, from
        the first: a later call adds to the end.
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
    """Whether live AUC is below the offline figure; valid at any time.

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
    since, degraded, log_e = _state(good, limit, threshold)
    judged = good[since:]
    live = f"{judged.mean():.4f}" if len(judged) else "unknown"
    what = "labels" if metric == "accuracy" else "pairs"
    if not degraded:
        relation = f"is not shown to be below {limit:.4f}"
    elif judged.mean() < limit:
        relation = f"is below {limit:.4f}"
    else:
        relation = f"was below {limit:.4f} and is not shown to be above it again"
    return Degradation(
        metric=metric,
        limit=limit,
        n=len(judged),
        since=since,
        log_e=log_e,
        threshold=threshold,
        degraded=degraded,
        sentence=f"live {name} {live} over {len(judged):,} {what} {relation}",
    )


def _state(
    good: NDArray[np.float64], limit: float, threshold: float
) -> tuple[int, bool, float]:
    """Where what is judged now begins, whether it is degraded, and the log e-value.

    The figure is called degraded when it is shown to be below the limit, and no longer
    when what came after that is shown to be above it; then all begins anew.
    """
    since = at = 0
    degraded = False
    while True:
        # Once degraded, it is the right answers whose rate is to be shown to be high.
        rest = good[at:]
        log_e = (
            log_e_since(rest, limit) if degraded else log_e_since(1 - rest, 1 - limit)
        )
        shown = np.flatnonzero(log_e >= threshold)
        if not len(shown):
            return since, degraded, float(log_e[-1]) if len(log_e) else 0.0
        at += int(shown[0]) + 1
        since, degraded = (since if not degraded else at), not degraded


def log_e_since(outcomes: NDArray[np.float64], null: float) -> NDArray[np.float64]:
    """Log e-value, after each outcome, against "their mean is at most `null`".

    It is a bet on each of several higher means, begun anew at every block of labels: a
    change after thousands of labels is seen as soon as one at the start. The stakes of
    the beginnings, 1 / k (k + 1), add up to one, so that the sum is an e-process.

    Parameters
    ----------
    outcomes : ndarray of shape (n,)
        Each from 0 to 1, in the order in which they came.
    null : float
        The limit, above 0 and below 1.

    Returns
    -------
    ndarray of shape (n,)
        Its exponential exceeds ``1 / alpha`` *ever* with probability at most ``alpha``
        (Ville's inequality).

    Examples
    --------
    >>> late = np.repeat([0.0, 1.0], [5_000, 40])
    >>> bool(log_e_since(late, 0.2)[-1] > np.log(1_000))
    True
    """
    if not len(outcomes):
        return np.zeros(0)
    steps = np.arange(len(outcomes))
    block = steps // BLOCK + 1
    stake = np.where(steps % BLOCK == 0, -np.log(block * (block + 1.0)), -np.inf)
    # What is staked on beginnings that are still to come.
    found = [-np.log(block + 1.0)]
    for share in ALTERNATIVES:
        mean = null + share * (1 - null)
        gains = np.log1p((mean - null) / (null * (1 - null)) * (outcomes - null))
        total = np.cumsum(gains)
        begun = np.logaddexp.accumulate(stake - (total - gains))
        found.append(total + begun - np.log(len(ALTERNATIVES)))
    return np.asarray(np.logaddexp.reduce(found))
