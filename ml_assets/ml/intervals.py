"""Wilson's score interval of a proportion.

Written out, because the one of `scipy.stats` is no faster and costs every run 1.1 s of
import; the deployment sensor loads this module too.
"""

import math
from statistics import NormalDist


def wilson(proportion: float, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Two-sided interval of a proportion seen in `n` trials.

    Returns
    -------
    tuple of float
        Lower and upper limit, within 0 and 1; NaN without trials.

    Examples
    --------
    >>> low, high = wilson(0.8, 100)
    >>> round(low, 4), round(high, 4)
    (0.7112, 0.8666)
    """
    return _limits(proportion, n, NormalDist().inv_cdf((1 + confidence) / 2))


def lower_bound(proportion: float, n: int, confidence: float) -> float:
    """What the true proportion exceeds with `confidence` (one-sided)."""
    return _limits(proportion, n, NormalDist().inv_cdf(confidence))[0]


def upper_bound(proportion: float, n: int, confidence: float) -> float:
    """What the true proportion is below with `confidence` (one-sided).

    Examples
    --------
    >>> round(upper_bound(0.0, 1, 0.95), 4), round(upper_bound(0.7, 1_000, 0.95), 4)
    (0.7301, 0.7233)
    """
    return _limits(proportion, n, NormalDist().inv_cdf(confidence))[1]


def _limits(proportion: float, n: int, z: float) -> tuple[float, float]:
    if n == 0 or math.isnan(proportion):
        return math.nan, math.nan
    scale = 1 + z * z / n
    centre = (proportion + z * z / (2 * n)) / scale
    variance = proportion * (1 - proportion) / n + z * z / (4 * n * n)
    margin = z * math.sqrt(variance) / scale
    return max(centre - margin, 0.0), min(centre + margin, 1.0)
