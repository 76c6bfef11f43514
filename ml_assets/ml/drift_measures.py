"""How far two samples of one column lie apart, and how surprising that is.

Only `scipy.special` is needed; importing `scipy.stats` takes most of a second.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import bdtr, bdtrc, chdtrc, kolmogorov, rel_entr

# Rows that a group must be expected to have for the chi-squared approximation to hold.
EXPECTED = 5.0
# Added to every count, so that an empty group has a logarithm.
PRIOR = 0.5

Counts = NDArray[np.float64]


def merge_rare(reference: Counts, window: Counts) -> NDArray[np.int64]:
    """Group numbers of adjacent cells, such that each group has enough rows.

    Parameters
    ----------
    reference, window : ndarray of shape (n_cells,)
        Rows in each cell of the two samples.

    Returns
    -------
    ndarray of int, shape (n_cells,)
        From 0 up. A group is expected to have at least 5 rows in either sample if both
        are alike, unless there is only one group.

    Examples
    --------
    >>> merge_rare(np.array([90.0, 4, 3, 3]), np.array([90.0, 3, 4, 3]))
    array([0, 1, 1, 1])
    """
    pooled = reference + window
    smaller = min(reference.sum(), window.sum()) / max(pooled.sum(), 1.0)
    group, groups, expected = 0, [], 0.0
    for rows in pooled:
        if expected >= EXPECTED:
            group, expected = group + 1, 0.0
        groups.append(group)
        expected += rows * smaller
    merged = np.array(groups, dtype=np.int64)
    if expected < EXPECTED:
        # What is left over at the end joins its neighbour.
        merged[merged == group] = max(group - 1, 0)
    return merged


def summed(counts: Counts, groups: NDArray[np.int64]) -> Counts:
    """Rows of each group."""
    return np.bincount(groups, counts).astype(np.float64)


def psi(reference: Counts, window: Counts) -> float:
    """Population stability index of two rows of counts, 0 and up.

    Examples
    --------
    >>> round(psi(np.array([500.0, 500]), np.array([300.0, 700])), 3)
    0.169
    """
    p, q = _shares(reference), _shares(window)
    return float(np.sum((q - p) * np.log(q / p)))


def psi_noise(reference: Counts, window: Counts) -> float:
    """What `psi` comes to on average when both samples have one distribution.

    With k groups ``psi / (1 / n + 1 / m)`` is then about chi-squared with k - 1 degrees
    of freedom, so that a small window shows a large index by chance alone.
    """
    scale = 1 / max(reference.sum(), 1.0) + 1 / max(window.sum(), 1.0)
    return float((len(reference) - 1) * scale)


def jensen_shannon(reference: Counts, window: Counts) -> float:
    """Jensen-Shannon divergence in bits: 0 where alike, 1 where nothing is shared.

    Examples
    --------
    >>> round(jensen_shannon(np.array([500.0, 500]), np.array([300.0, 700])), 3)
    0.03
    """
    p, q = _shares(reference), _shares(window)
    middle = (p + q) / 2
    nats = (rel_entr(p, middle).sum() + rel_entr(q, middle).sum()) / 2
    return float(nats / np.log(2))


def chi_squared(reference: Counts, window: Counts) -> tuple[float, float]:
    """Statistic and p-value of "both rows of counts have one distribution"."""
    table = np.array([reference, window])
    expected = table.sum(axis=1, keepdims=True) * table.sum(axis=0) / table.sum()
    if table.shape[1] < 2:
        return 0.0, 1.0
    statistic = float(np.sum((table - expected) ** 2 / expected))
    return statistic, float(chdtrc(table.shape[1] - 1, statistic))


def ks_binned(reference: Counts, window: Counts) -> tuple[float, float]:
    """Kolmogorov-Smirnov statistic over bin limits, and its p-value.

    The largest distance at the limits is at most the largest anywhere, so that the
    p-value errs towards "no drift".
    """
    n, m = reference.sum(), window.sum()
    if not n or not m:
        return 0.0, 1.0
    gap = np.abs(np.cumsum(reference) / n - np.cumsum(window) / m).max()
    return float(gap), _ks_p_value(float(gap), n, m)


def ks_raw(reference: ArrayLike, window: ArrayLike) -> tuple[float, float]:
    """Two-sample Kolmogorov-Smirnov statistic and p-value; NaN are left out.

    Examples
    --------
    >>> ks_raw([1, 2, 3, 4], [3, 4, 5, 6])[0]
    0.5
    """
    x, y = (np.sort(np.asarray(v, dtype=np.float64)) for v in (reference, window))
    # NaN sort to the end.
    x, y = x[: len(x) - np.isnan(x).sum()], y[: len(y) - np.isnan(y).sum()]
    if not len(x) or not len(y):
        return 0.0, 1.0
    # The distance changes at values of either sample only; those of the smaller and
    # the places just before them suffice.
    few, many = (x, y) if len(x) < len(y) else (y, x)
    steps = np.arange(len(few) + 1) / len(few)
    upto = np.searchsorted(many, few, side="right") / len(many)
    before = np.searchsorted(many, few, side="left") / len(many)
    last = np.append(few[1:] != few[:-1], True)
    first = np.insert(last[:-1], 0, True)
    gap = max(
        np.abs(upto - steps[1:])[last].max(), np.abs(before - steps[:-1])[first].max()
    )
    return float(gap), _ks_p_value(float(gap), len(x), len(y))


def share_changed(
    reference: int, of_reference: int, window: int, of_window: int
) -> float:
    """Two-sided p-value of "rows of this sort are equally frequent in both samples".

    Given how many there are in all, those of the window are binomial; exact for the
    rare sort of rows (missing, unseen) that it is asked about.

    Examples
    --------
    >>> round(share_changed(0, 30_000, 1, 200), 3)
    0.013
    """
    total = reference + window
    if not total:
        return 1.0
    share = of_window / (of_reference + of_window)
    at_most = float(bdtr(window, total, share))
    at_least = float(bdtrc(window - 1, total, share)) if window else 1.0
    return min(2 * min(at_most, at_least), 1.0)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjustment: each below alpha is a finding, however dependent.

    Examples
    --------
    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(stepped, 1.0)
    return [float(value) for value in adjusted]


def _shares(counts: Counts) -> NDArray[np.float64]:
    smooth = counts + PRIOR
    return np.asarray(smooth / smooth.sum())


def _ks_p_value(gap: float, n: float, m: float) -> float:
    root = np.sqrt(n * m / (n + m))
    # Stephens' correction makes the limit law good from a handful of rows on.
    return float(kolmogorov((root + 0.12 + 0.11 / root) * gap))
