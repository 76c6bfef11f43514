"""Boundaries of a group-sequential test: what a statistic must reach at each analysis.

Alpha is spent over the analyses as Lan and DeMets (1983) do it for boundaries like
those of O'Brien and Fleming (1979): nearly all is left for the last. The boundaries are
found by numerical integration over the analyses (Armitage, McPherson and Rowe 1969).
"""

import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

# Points of the density of a statistic that has crossed no boundary yet.
POINTS = 201
# Weights of Simpson's rule at these points, for a distance of 1.
SIMPSON = np.resize([2.0, 4.0], POINTS) / 3
SIMPSON[[0, -1]] = 1 / 3
# Standard deviations below which a statistic does not matter, nor above.
FARTHEST = 8.5
# A boundary where nothing of alpha may be spent.
UNREACHED = 40.0
# No p-value below this is told from it.
SMALLEST = 1e-6


def spent(alpha: float, fraction: float) -> float:
    """Part of `alpha` that may be spent up to a fraction of the labels.

    Examples
    --------
    >>> [round(spent(0.05, t), 4) for t in (0.2, 0.6, 1.0)]
    [0.0, 0.0114, 0.05]
    """
    return float(2 * ndtr(ndtri(alpha / 2) / math.sqrt(fraction)))


@lru_cache(maxsize=4_096)
def boundaries(alpha: float, fractions: tuple[float, ...]) -> tuple[float, ...]:
    """What a standard normal statistic must reach at each analysis, one-sided.

    Parameters
    ----------
    alpha : float
        Chance of ever reaching a boundary without a difference.
    fractions : tuple of float
        Parts of all labels that are there at each analysis, growing, up to 1.

    Examples
    --------
    >>> [round(limit, 3) for limit in boundaries(0.025, (0.2, 0.4, 0.6, 0.8, 1.0))]
    [4.877, 3.357, 2.68, 2.29, 2.031]
    """
    found: list[float] = []
    points = np.zeros(1)
    weights = np.ones(1)
    before = used = 0.0
    for fraction in fractions:
        step = math.sqrt(fraction - before)
        allowed = spent(alpha, fraction) - used
        root = math.sqrt(fraction)

        def excess(limit: float) -> float:
            beyond = ndtr((points - limit * root) / step)
            return float(weights @ beyond) - allowed

        limit = _root(excess, -FARTHEST, UNREACHED) if allowed > 0 else UNREACHED
        found.append(limit)
        if len(found) < len(fractions):
            points, weights = _carried(points, weights, step, root, limit)
        before, used = fraction, used + allowed
    return tuple(found)


def _carried(
    points: NDArray[np.float64],
    weights: NDArray[np.float64],
    step: float,
    root: float,
    limit: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The density below the boundary after an analysis, as points and their masses."""
    after = np.linspace(-FARTHEST * root, min(limit, FARTHEST) * root, POINTS)
    steps = (after[:, None] - points) / step
    density = np.exp(-(steps**2) / 2) @ weights / (step * math.sqrt(2 * math.pi))
    return after, density * SIMPSON * (after[1] - after[0])


def repeated_p(statistic: float, fractions: tuple[float, ...]) -> float:
    """The least alpha at which `statistic` reaches the boundary of the last analysis.

    Parameters
    ----------
    statistic : float
        Standard normal without a difference.
    fractions : tuple of float
        Of the analyses up to this one.

    Returns
    -------
    float
        From 1e-6 to 1. At or below alpha exactly where the boundary of alpha is
        reached (Jennison and Turnbull 2000).
    """

    def short(log_alpha: float) -> float:
        return boundaries(math.exp(log_alpha), fractions)[-1] - statistic

    low, high = math.log(SMALLEST), math.log(0.999)
    if short(low) <= 0:
        return SMALLEST
    if short(high) >= 0:
        return 1.0
    return math.exp(_root(short, low, high))


def _root(function: Callable[[float], float], low: float, high: float) -> float:
    # Only planned experiments need the module, which costs every run 0.1 s of import.
    from scipy.optimize import brentq

    return float(brentq(function, low, high, xtol=1e-9))
