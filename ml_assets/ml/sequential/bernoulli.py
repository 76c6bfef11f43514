"""Evidence that the rate of a yes-or-no sequence is above a limit, at any time."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betainc, betaln, xlog1py, xlogy

# Below this the regularised beta integral is no longer a number to take the log of.
SMALLEST = 1e-280


def log_e_above(
    successes: ArrayLike, failures: ArrayLike, null: float, concentration: float
) -> NDArray[np.float64]:
    """Log e-value against "each outcome is a success with probability at most `null`".

    The likelihood ratio of every rate above `null` to `null` itself, averaged over a
    beta density around `null` that is cut off below it. Each ratio is a supermartingale
    under every rate up to `null`, also one that changes over time, and so is the mean.

    Parameters
    ----------
    successes, failures : array-like, broadcast together
        Counts so far; an outcome between 0 and 1 adds its parts to both.
    null : float
        The limit, above 0 and below 1.
    concentration : float
        Pseudo-observations of the density: larger finds smaller excesses. Its
        standard deviation is ``sqrt(null * (1 - null) / (concentration + 1))``.

    Returns
    -------
    ndarray of float
        Finite. Its exponential exceeds ``1 / alpha`` *ever* with probability at most
        ``alpha`` (Ville's inequality), however often it is asked.

    Examples
    --------
    >>> abs(round(float(log_e_above(0, 0, null=0.5, concentration=16)), 2))
    0.0
    >>> round(float(log_e_above(30, 10, null=0.5, concentration=16)), 2)
    3.77
    """
    check_null(null)
    s, f = np.broadcast_arrays(*(np.asarray(c, float) for c in (successes, failures)))
    a, b = concentration * null, concentration * (1 - null)
    above = betainc(f + b, s + a, 1 - null)
    prior = betaln(a, b) + np.log(betainc(b, a, 1 - null))
    ratio = betaln(s + a, f + b) - prior - xlogy(s, null) - xlog1py(f, -null)
    regular = ratio + np.log(np.maximum(above, SMALLEST))
    # The ratio alone grows without limit where the evidence is against an excess.
    return np.where(above > SMALLEST, regular, _far_below(s, f, null, a, b, prior))


def _far_below(
    s: NDArray[Any], f: NDArray[Any], null: float, a: float, b: float, prior: Any
) -> NDArray[np.float64]:
    """Where nearly all of the integral lies at `null`: density there over the slope."""
    density = (a - 1) * np.log(null) + (b - 1) * np.log1p(-null) - prior
    slope = f / (1 - null) - s / null
    return np.asarray(np.minimum(density - np.log(np.maximum(slope, 1.0)), 0.0))


def check_null(null: float) -> None:
    """Refuse a limit that no rate can be on both sides of.

    Raises
    ------
    ValueError
        If `null` is not above 0 and below 1.
    """
    if not 0 < null < 1:
        raise ValueError(f"null must be above 0 and below 1, found {null}")
