"""Two arms compared by a bounded loss, at any time: bettors stake on the differences.

A bettor who stakes the part `t` of the coin on each value `x`, whose mean is 0 or less,
multiplies it by ``1 + t * x``: however often it is asked, the chance that the mean
wealth of all bettors ever reaches ``1 / alpha`` is at most `alpha` (Ville 1939,
Waudby-Smith and Ramdas 2024).
"""

from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ml_assets.ml.sequential.counts import log_mean
from ml_assets.ml.sequential.differences import Differences
from ml_assets.ml.sequential.evidence import Evidence, Trace
from ml_assets.ml.sequential.losses import Scale

# Each bettor stakes this part of what the worst value could take.
FRACTIONS = 0.95 / 1.5 ** np.arange(16)
# For x at or above -f: log(1 + x) >= x - CURVES * x ** 2, with equality at -f.
CURVES = (-np.log1p(-FRACTIONS) - FRACTIONS) / FRACTIONS**2
BETTORS = len(FRACTIONS)
# Labels evaluated at a time: with 32 bettors some tens of megabytes.
SLICE = 50_000
# Halvings of [-1, 1] after which a limit of the interval is exact to 1e-9.
HALVINGS = 31


class Betting(Evidence, frozen=True, kw_only=True):
    """State of a comparison by a bounded loss; its size does not grow with the labels.

    Parameters
    ----------
    scale : Scale
        Name and bound of the loss, for `describe`.
    total : float
        Sum of the differences.
    up, down : tuple of float, shape (16,)
        Log wealth of each bettor on "better", and on "worse".
    moments_up, moments_down : tuple of float, shape (5,)
        Sums from which the interval's limits are found.

    Examples
    --------
    >>> from ml_assets.ml.sequential.differences import paired
    >>> rng = np.random.default_rng(0)
    >>> champion = rng.random(3_000) * 0.2
    >>> state = Betting(scale=Scale("cost", 400))
    >>> state = state.update(paired(champion * 0.9, champion))
    >>> state.decided, round(state.difference, 4)
    ('promote', -0.01)
    """

    scale: Scale
    total: float = 0.0
    up: tuple[float, ...] = (0.0,) * BETTORS
    down: tuple[float, ...] = (0.0,) * BETTORS
    moments_up: tuple[float, ...] = (0.0,) * 5
    moments_down: tuple[float, ...] = (0.0,) * 5

    def update(self, differences: Differences) -> Self:
        """The state after more labels, in the order of their arrival.

        One call with many labels gives the same state as one call for each.
        """
        state = self
        for start in range(0, len(differences.values), SLICE):
            state = state._counted(differences.slice(start, start + SLICE))
        return state

    def _counted(self, some: Differences) -> Self:
        up, down = _wealth(self.up, self.down, some)
        return self._after(
            Trace(log_mean(up), log_mean(down)),
            total=float(_sums(self.total, some.values)[-1]),
            up=tuple(map(float, up[-1])),
            down=tuple(map(float, down[-1])),
            moments_up=_moments(self.moments_up, some.values, 1 - some.low),
            moments_down=_moments(self.moments_down, -some.values, 1 + some.high),
        )

    def trace(self, differences: Differences) -> Trace:
        """Log e-values after each of these labels, had they come next."""
        up, down = np.array([self.up]), np.array([self.down])
        better, worse = [np.zeros(0)], [np.zeros(0)]
        for start in range(0, len(differences.values), SLICE):
            some = differences.slice(start, start + SLICE)
            up, down = _wealth(up[-1], down[-1], some)
            better.append(log_mean(up))
            worse.append(log_mean(down))
        return Trace(np.concatenate(better), np.concatenate(worse))

    @property
    def difference(self) -> float:
        """Mean loss of the challenger minus the champion's, scaled; NaN without any."""
        return -self.total / self.n if self.n else float("nan")

    def interval(self) -> tuple[float, float]:
        """Limits of the true `difference`, scaled.

        The truth is never below the lower limit, at any time, but with probability
        ``alpha``; the same of the upper. Both hold with ``1 - 2 * alpha``. It is found
        from a lower bound of the wealth, so that it may hold 0 a little longer than the
        decision takes.
        """
        low = _limit(self.moments_down, self.threshold)
        return -low, _limit(self.moments_up, self.threshold)

    def describe(self) -> str:
        """The figures in words."""
        if not self.n:
            return "no labels yet"
        figures = self.scale.describe(self.difference, *self.interval())
        return f"after {self.n:,} labels the challenger's {figures}"


def _wealth(
    up: ArrayLike, down: ArrayLike, some: Differences
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Log wealth of each bettor after each label, of shape (n, 16), both ways."""
    for_better = some.values / -some.low
    for_worse = -some.values / some.high
    return (
        _sums(up, np.log1p(FRACTIONS * for_better[:, None])),
        _sums(down, np.log1p(FRACTIONS * for_worse[:, None])),
    )


def _sums(before: ArrayLike, added: NDArray[np.float64]) -> NDArray[np.float64]:
    """Running sums from `before`; one by one, so that no batch changes a bit."""
    start = np.broadcast_to(before, added.shape[1:])[None]
    return np.asarray(np.cumsum(np.concatenate([start, added]), axis=0)[1:])


def _moments(
    before: tuple[float, ...], values: NDArray[np.float64], reach: NDArray[np.float64]
) -> tuple[float, ...]:
    """Sums of values over reach, 1 / reach, and of their squares and product."""
    scaled, weight = values / reach, 1 / reach
    rows = np.stack([scaled, weight, scaled**2, scaled * weight, weight**2], axis=1)
    return tuple(map(float, _sums(before, rows)[-1]))


def _limit(moments: tuple[float, ...], threshold: float) -> float:
    """Upper limit of the mean of the negated values; 1 where nothing is known.

    A bettor on "mean above d" has at least ``exp(f * sum(x) - c * sum(x ** 2))``
    with ``x = (value - d) / reach`` and ``c = CURVES * f ** 2``. True wealth falls in
    d, so that with a d all below it are refuted.
    """
    value, weight, square, product, weight_square = moments
    low, high = -1.0, 1.0
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        first = value + middle * weight
        second = square + 2 * middle * product + middle**2 * weight_square
        logs = FRACTIONS * first - CURVES * FRACTIONS**2 * second
        if log_mean(logs[None])[0] >= threshold:
            high = middle
        else:
            low = middle
    return high
