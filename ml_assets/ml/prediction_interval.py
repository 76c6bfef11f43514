"""Split-conformal intervals about predicted numbers.

The half width is a quantile of absolute errors on rows that the model did not learn
(Vovk, Gammerman and Shafer, 2005, Algorithmic Learning in a Random World; Lei,
G'Sell, Rinaldo, Tibshirani and Wasserman, 2018, JASA 113).
"""

import math

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from ml_assets.records.plan import Interval

# The arithmetic of n + 1 rows and a level such as 0.9 is off by less.
_ROUNDING = 1e-9


def interval_of(errors: NDArray[np.float64], level: float) -> Interval:
    """The interval that holds a share `level` of outcomes.

    Its half width is the k-th smallest absolute error, k being ``(n + 1) * level``
    rounded up. Where rows are exchangeable, and the model was not fitted on these, an
    outcome is inside of its interval with a probability of at least `level`, whatever
    the model and the distribution.

    Parameters
    ----------
    errors : ndarray of shape (n,)
        Predicted less true, in units of the target.
    level : float
        Above 0 and below 1.

    Raises
    ------
    ValueError
        If there are too few errors for the level, or the k-th is no finite number.

    Examples
    --------
    >>> interval_of(np.arange(-9.0, 10.0), 0.9)
    Interval(level=0.9, half_width=9.0, rows=19)
    """
    rank = _rank(len(errors), level)
    if rank > len(errors):
        least = math.ceil(level / (1 - level) - _ROUNDING)
        raise ValueError(
            f"an interval of {level:g} needs {least:,} rows, found {len(errors):,}"
        )
    width = float(np.sort(np.abs(errors))[rank - 1])
    return Interval(level=level, half_width=width, rows=len(errors))


def covered(
    interval: Interval, y: NDArray[np.float64], values: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Whether each outcome is inside of the interval about its value, ends included.

    Examples
    --------
    >>> five = Interval(level=0.9, half_width=5, rows=100)
    >>> covered(five, np.array([1.0, 7.0]), np.array([6.0, 0.0])).tolist()
    [True, False]
    """
    low, high = values - interval.half_width, values + interval.half_width
    return np.asarray((low <= y) & (y <= high))


def coverage_lower_bound(interval: Interval, alpha: float) -> float:
    """What the coverage of an interval is below with probability `alpha`.

    Given the rows that made it, the coverage of a split-conformal interval has a beta
    distribution (Vovk, 2012, Conditional validity of inductive conformal predictors).

    Examples
    --------
    >>> made_of = Interval(level=0.9, half_width=5, rows=1_000)
    >>> round(coverage_lower_bound(made_of, 0.005), 3)
    0.874
    """
    rank = _rank(interval.rows, interval.level)
    return float(stats.beta.ppf(alpha, rank, interval.rows + 1 - rank))


def _rank(rows: int, level: float) -> int:
    return math.ceil((rows + 1) * level - _ROUNDING)
