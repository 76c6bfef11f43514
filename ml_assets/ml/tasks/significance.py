"""Significance tests: is a version better than the best constant by chance?

Each test is one-sided and on the same rows: how probable is it that an answer which
knows nothing of a row would be as good as this.
"""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Floats = NDArray[np.float64]
Outcomes = NDArray[np.int64]

RANKING = "ranking"
# Shuffles of a permutation test; its least p-value is the inverse of one more.
SHUFFLES = 199


def p_values(y: Outcomes, p: Floats, threshold: float) -> dict[str, float]:
    """For each metric that a gate may ask for, and for the order of the rows.

    Parameters
    ----------
    y : ndarray of shape (n_rows,)
        0 or 1.
    p : ndarray of shape (n_rows,)
        Probability of class 1. One NaN, or one class alone, shows nothing: 1 for each.
    threshold : float
        A row is predicted 1 when its probability exceeds it.

    Returns
    -------
    dict of str to float
        ``accuracy`` against the more frequent class (exact McNemar test),
        ``balanced_accuracy`` against .5 (Fisher's exact test), ``f1`` and ``precision``
        against always saying 1 (delta method), and ``ranking``, which is that of
        ``roc_auc`` and ``average_precision``, too (Mann-Whitney).

    Examples
    --------
    >>> y = np.array([0] * 30 + [1] * 10)
    >>> found = p_values(y, np.linspace(0, 1, 40), 0.75)
    >>> {name: bool(value < 0.05) for name, value in found.items()}
    {'accuracy': True, 'balanced_accuracy': True, 'f1': True, 'precision': True, \
'ranking': True}
    >>> p_values(y, np.ones(40), 0.5)["f1"]
    1.0
    """
    if np.isnan(p).any() or y.min() == y.max():
        return dict.fromkeys(TESTED, 1.0)
    predicted = (p > threshold).astype(np.int64)
    right = predicted * y
    values = (
        mcnemar(predicted == y, y == int(2 * y.sum() > len(y))),
        float(stats.fisher_exact(_table(y, predicted), alternative="greater").pvalue),
        _ratio_is_higher((2 * right, predicted + y), (2 * y, 1 + y)),
        _ratio_is_higher((right, predicted), (y, np.ones_like(y))),
        float(stats.mannwhitneyu(p[y == 1], p[y == 0], alternative="greater").pvalue),
    )
    return dict(zip(TESTED, values, strict=True))


TESTED = ("accuracy", "balanced_accuracy", "f1", "precision", RANKING)


def _table(y: Outcomes, predicted: Outcomes) -> NDArray[np.int64]:
    counts = np.bincount(2 * y + predicted, minlength=4)
    return np.asarray(counts.reshape(2, 2))


def mcnemar(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    """Of the rows that only one of two gets right, whether one has more than half."""
    better, worse = int((one & ~other).sum()), int((other & ~one).sum())
    if better == 0:
        return 1.0
    test = stats.binomtest(better, better + worse, alternative="greater")
    return float(test.pvalue)


def _ratio_is_higher(
    one: tuple[Outcomes, Outcomes], other: tuple[Outcomes, Outcomes]
) -> float:
    """Whether one ratio of sums over the rows is above another over the same rows."""
    if one[1].sum() == 0:
        return 1.0
    ratios, influences = [], []
    for above, below in (one, other):
        ratio = above.sum() / below.sum()
        ratios.append(ratio)
        influences.append((above - ratio * below) / below.mean())
    difference = influences[0] - influences[1]
    error = difference.std() / np.sqrt(len(difference))
    if error == 0:
        return 1.0
    return float(stats.norm.sf((ratios[0] - ratios[1]) / error))


def lower_losses(one: Floats, other: Floats) -> float:
    """Whether one mean loss is below another on the same rows (paired t-test).

    Examples
    --------
    >>> losses = np.linspace(0, 1, 50)
    >>> lower_losses(losses / 2, losses) < 0.001, lower_losses(losses, losses)
    (True, 1.0)
    """
    difference = one - other
    if len(difference) < 2 or not difference.std():
        # The same difference in every row is no chance, and none at all is nothing.
        return 0.0 if len(difference) > 1 and difference[0] < 0 else 1.0
    return float(stats.ttest_1samp(difference, 0, alternative="less").pvalue)


def permutation_p_values(
    rows: int,
    observed: Mapping[str, float],
    shuffled: Callable[[NDArray[np.int64]], Mapping[str, float]],
) -> dict[str, float]:
    """How probable metrics as high are, if the truth is in any order (Good, 2005).

    Parameters
    ----------
    observed : mapping of str to float
        The metrics; higher is better, and NaN shows nothing: 1.
    shuffled : callable
        Takes an order of the rows' truth and gives the metrics.
    """
    random = np.random.default_rng(0)
    as_good = dict.fromkeys(observed, 0)
    for _ in range(SHUFFLES):
        found = shuffled(random.permutation(rows))
        for name, value in observed.items():
            as_good[name] += not found[name] < value
    return {name: (1 + count) / (1 + SHUFFLES) for name, count in as_good.items()}
