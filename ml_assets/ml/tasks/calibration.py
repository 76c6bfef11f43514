"""Calibration: whether a probability is how often what it is about happens."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CALIBRATION_BINS = 10
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class CalibrationBin:
    """Rows whose probability is from `low` to `high`; NaN where there are none."""

    low: float
    high: float
    n: int
    mean_probability: float
    positive_rate: float


def bins_of(happened: NDArray[np.generic], p: Floats) -> tuple[CalibrationBin, ...]:
    """Ten bins of equal width; none where a probability is NaN.

    Parameters
    ----------
    happened : ndarray of shape (n_rows,)
        0 or 1.
    p : ndarray of shape (n_rows,)
        The probability of 1.
    """
    if np.isnan(p).any():
        return ()
    edges = np.linspace(0, 1, CALIBRATION_BINS + 1)
    bins_of_rows = np.clip(
        np.searchsorted(edges, p, side="right") - 1, 0, CALIBRATION_BINS - 1
    )
    bins = []
    for number in range(CALIBRATION_BINS):
        inside = bins_of_rows == number
        n = int(inside.sum())
        means = (p[inside].mean(), happened[inside].mean()) if n else (math.nan,) * 2
        low, high = float(edges[number]), float(edges[number + 1])
        bins.append(CalibrationBin(low, high, n, float(means[0]), float(means[1])))
    return tuple(bins)


def calibration_error(happened: NDArray[np.generic], p: Floats) -> float:
    """Mean distance of predicted from seen rate, each bin weighted by its rows."""
    bins = [item for item in bins_of(happened, p) if item.n]
    total = sum(i.n * abs(i.mean_probability - i.positive_rate) for i in bins)
    return total / len(happened)
