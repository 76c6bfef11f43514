"""Whether live performance is worse than the offline figure: valid at any time."""

import math

import msgspec
import numpy as np
from numpy.typing import ArrayLike, NDArray

from ml_assets.ml.intervals import wilson
from ml_assets.ml.sequential.change import state_of
from ml_assets.ml.sequential.losses import Scale, as_losses
from ml_assets.spec.metrics import in_words


class Degradation(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a live metric is worse than the offline one.

    Parameters
    ----------
    metric : str
        ``accuracy``, ``roc_auc``, ``coverage`` or the name of a loss.
    limit : float
        What the live figure is compared with: the confidence bound of the offline one
        on its worse side, and the margin beyond. That of a loss is in its own unit.
    n : int
        Labels, or pairs of a positive and a negative, that are judged.
    since : int
        How many came before them, and ended with a recovery.
    log_e, threshold : float
        Log e-value now, and what it must reach: against "not worse than `limit`", and
        once degraded against "not better".
    degraded : bool
        Whether the metric was shown to be worse than `limit`, and not better since.
    sentence : str
        The finding in words.
    """

    metric: str
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


def coverage_degraded(
    inside: ArrayLike,
    expected_low: float,
    *,
    margin: float = 0.02,
    alpha: float = 0.01,
) -> Degradation:
    """Whether live prediction intervals hold less than they are expected to.

    Parameters
    ----------
    inside : array-like of bool, shape (n_labels,)
        Whether each outcome is inside of its interval, in the order in which labels
        arrived, from the first.
    expected_low : float
        The coverage that intervals made of other rows would fall below with a chance of
        half of `alpha`.
    margin : float
        Loss that is accepted, in coverage.
    alpha : float
        Chance of ever calling a version degraded that is not.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> coverage_degraded(rng.random(3_000) < 0.9, 0.89).degraded
    False
    >>> coverage_degraded(rng.random(3_000) < 0.8, 0.89).sentence
    'live coverage 0.7967 over 3,000 labels is below 0.8700'
    """
    flags = np.asarray(inside, dtype=np.float64)
    return _degraded("coverage", flags, expected_low - margin, alpha / 2)


def loss_degraded(
    losses: ArrayLike,
    offline_high: float,
    *,
    scale: Scale,
    margin: float = 0.1,
    alpha: float = 0.01,
) -> Degradation:
    """Whether the live mean of a bounded loss is above the offline figure.

    Parameters
    ----------
    losses : array-like of float, shape (n_labels,)
        Loss of each answer, scaled to 0 to 1, in the order in which labels arrived,
        from the first.
    offline_high : float
        Upper limit of the offline mean, scaled, that is too low with a chance of half
        of `alpha`, from `mean_upper_bound`.
    scale : Scale
        Name and bound of the loss, for the sentence.
    margin : float
        Loss that is accepted, as a part of `offline_high`.
    alpha : float
        Chance of ever calling a version degraded that is not.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> cost = Scale("cost", 400)
    >>> loss_degraded(rng.random(3_000) * 0.2, 0.11, scale=cost).degraded
    False
    >>> loss_degraded(rng.random(3_000) * 0.3, 0.11, scale=cost).sentence
    'live mean cost 59.97 over 3,000 labels is above 48.4'
    """
    limit = offline_high * (1 + margin)
    good = 1 - as_losses("loss", losses)
    return _degraded(scale.name, good, 1 - limit, alpha / 2, scale)


def mean_upper_bound(losses: ArrayLike, alpha: float) -> float:
    """What the true mean of losses exceeds with probability at most `alpha`.

    The empirical Bernstein bound of Maurer and Pontil (2009), valid once.

    Parameters
    ----------
    losses : array-like of float, shape (n,)
        Independent, each from 0 to 1.

    Returns
    -------
    float
        1 at most, and for fewer than two losses.

    Examples
    --------
    >>> round(mean_upper_bound([0.1, 0.3] * 500, 0.005), 4)
    0.2249
    """
    given = as_losses("loss", losses)
    if len(given) < 2:
        return 1.0
    spread = math.log(2 / alpha)
    noise = math.sqrt(2 * float(given.var(ddof=1)) * spread / len(given))
    return min(float(given.mean()) + noise + 7 * spread / (3 * (len(given) - 1)), 1.0)


def _degraded(
    metric: str,
    good: NDArray[np.float64],
    limit: float,
    alpha: float,
    loss: Scale | None = None,
) -> Degradation:
    """Of a metric that is the mean of `good`, or of a loss that is its complement."""
    name = in_words(metric) if loss is None else f"mean {metric}"
    worse, better = ("below", "above") if loss is None else ("above", "below")

    def shown(value: float) -> str:
        return f"{value:.4f}" if loss is None else f"{(1 - value) * loss.bound:.4g}"

    if not 0 < limit < 1:
        raise ValueError(f"{name} cannot be held against {shown(limit)}")
    threshold = -math.log(alpha)
    since, degraded, log_e = state_of(good, limit, threshold)
    judged = good[since:]
    live = shown(float(judged.mean())) if len(judged) else "unknown"
    clip = f", clipped at {loss.bound:g}," if loss and loss.clipped else ""
    what = "pairs" if metric == "roc_auc" else "labels"
    if not degraded:
        relation = f"is not shown to be {worse} {shown(limit)}"
    elif judged.mean() < limit:
        relation = f"is {worse} {shown(limit)}"
    else:
        relation = (
            f"was {worse} {shown(limit)} and is not shown to be {better} it again"
        )
    return Degradation(
        metric=metric,
        limit=limit if loss is None else (1 - limit) * loss.bound,
        n=len(judged),
        since=since,
        log_e=log_e,
        threshold=threshold,
        degraded=degraded,
        sentence=f"live {name} {live}{clip} over {len(judged):,} {what} {relation}",
    )
