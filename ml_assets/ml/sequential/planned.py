"""Two arms compared by a number of labels that is planned: a group-sequential test.

There are five analyses, at fixed shares of the labels, whoever asks and how often. For
a size that is known beforehand it finds smaller differences than a test that is valid
at any time; after the last label there is no more to find.
"""

import math
from typing import Self

import msgspec
import numpy as np
from numpy.typing import ArrayLike, NDArray

from ml_assets.ml.sequential.boundaries import boundaries, repeated_p
from ml_assets.ml.sequential.differences import Differences
from ml_assets.ml.sequential.evidence import Evidence, Trace
from ml_assets.ml.sequential.losses import Scale

ANALYSES = 5


class Analysis(msgspec.Struct, frozen=True, kw_only=True):
    """Figures of the first `n` labels.

    Attributes
    ----------
    difference, error : float
        Mean loss of the challenger minus the champion's, scaled, and its standard
        error.
    better, worse : float
        Statistics, about standard normal without a difference.
    boundary : float
        What a statistic must reach.
    """

    n: int
    difference: float
    error: float
    better: float
    worse: float
    boundary: float


class Planned(Evidence, frozen=True, kw_only=True):
    """State of a planned comparison; ``log_better`` and ``log_worse`` are of 1 / p.

    Parameters
    ----------
    labels : int
        Number of labels after which the comparison ends; later ones change nothing.
    scale : Scale
        Name and bound of the loss, for `describe`.
    total, squares, cubes : float
        Sums of the differences, of their squares and of their cubes.
    least, most : float
        What a difference could have been at least, and at most.
    analyses : tuple of Analysis

    Examples
    --------
    >>> from ml_assets.ml.sequential.differences import paired
    >>> rng = np.random.default_rng(0)
    >>> champion = rng.random(1_000) * 0.2
    >>> state = Planned(scale=Scale("cost", 400), labels=1_000)
    >>> state = state.update(paired(champion * 0.9, champion))
    >>> state.decided, state.decided_at
    ('promote', 800)
    """

    labels: int
    scale: Scale
    total: float = 0.0
    squares: float = 0.0
    cubes: float = 0.0
    least: float = 0.0
    most: float = 0.0
    analyses: tuple[Analysis, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.labels < ANALYSES:
            raise ValueError(
                f"labels must be {ANALYSES} or more, for as many analyses,"
                f" found {self.labels}"
            )

    @property
    def finished(self) -> bool:
        """Whether the planned labels are all there."""
        return self.n >= self.labels

    @property
    def planned(self) -> tuple[int, ...]:
        """Numbers of labels at which there is an analysis."""
        return tuple(
            -(-self.labels * one // ANALYSES) for one in range(1, ANALYSES + 1)
        )

    @property
    def fractions(self) -> tuple[float, ...]:
        """The analyses as parts of all labels."""
        return tuple(n / self.labels for n in self.planned)

    def update(self, differences: Differences) -> Self:
        """The state after more labels, in the order of their arrival.

        One call with many labels gives the same state as one call for each.
        """
        if not len(differences.values):
            return self
        sums = self._sums(differences)
        analyses = self._analyses(sums)
        return self._after(
            self._traced(len(differences.values), analyses),
            total=float(sums[-1, 0]),
            squares=float(sums[-1, 1]),
            cubes=float(sums[-1, 2]),
            least=float(sums[-1, 3]),
            most=float(sums[-1, 4]),
            analyses=self.analyses + analyses,
        )

    def trace(self, differences: Differences) -> Trace:
        """Log of 1 / p after each of these labels, had they come next."""
        analyses = self._analyses(self._sums(differences))
        return self._traced(len(differences.values), analyses)

    def _sums(self, differences: Differences) -> NDArray[np.float64]:
        """Running sums of three powers, least and most, of shape (n, 5)."""
        values, low, high = differences
        added = np.stack([values, values**2, values**3], axis=1)
        start = [(self.total, self.squares, self.cubes)]
        sums = np.cumsum(np.concatenate([start, added]), axis=0)[1:]
        least = np.minimum(np.minimum.accumulate(low), self.least)
        most = np.maximum(np.maximum.accumulate(high), self.most)
        return np.column_stack([sums, least, most])

    def _analyses(self, sums: NDArray[np.float64]) -> tuple[Analysis, ...]:
        """The analyses that these labels complete."""
        limits = boundaries(self.alpha, self.fractions)
        return tuple(
            _analysis(n, limit, sums[n - self.n - 1])
            for n, limit in zip(self.planned, limits)
            if self.n < n <= self.n + len(sums)
        )

    def _traced(self, added: int, analyses: tuple[Analysis, ...]) -> Trace:
        better, worse = np.full(added, self.log_better), np.full(added, self.log_worse)
        for one in analyses:
            passed = self.fractions[: self.planned.index(one.n) + 1]
            for path, statistic in ((better, one.better), (worse, one.worse)):
                later = path[one.n - self.n - 1 :]
                reached = -math.log(repeated_p(statistic, passed))
                later[:] = np.maximum(later, reached)
        return Trace(better, worse)

    def interval(self) -> tuple[float, float]:
        """Limits of the true difference, scaled, as of the last analysis.

        At all analyses together, the truth is below the lower limit with probability of
        about ``alpha``, and the same above the upper.
        """
        if not self.analyses:
            return -1.0, 1.0
        last = self.analyses[-1]
        reach = last.boundary * last.error
        return max(last.difference - reach, -1.0), min(last.difference + reach, 1.0)

    def describe(self) -> str:
        """The figures in words.

        Examples
        --------
        >>> Planned(scale=Scale("cost"), labels=5_000, n=30).describe()
        '30 of 5,000 planned labels; the next analysis is at 1,000'
        """
        figures = f"{min(self.n, self.labels):,} of {self.labels:,} planned labels"
        if self.analyses:
            last = self.analyses[-1]
            shown = self.scale.describe(last.difference, *self.interval())
            figures += f"; at {last.n:,} the challenger's {shown}"
        if len(self.analyses) < ANALYSES:
            figures += f"; the next analysis is at {self.planned[len(self.analyses)]:,}"
        return figures


def statistics(
    n: ArrayLike,
    total: ArrayLike,
    squares: ArrayLike,
    cubes: ArrayLike,
    worst: ArrayLike,
) -> NDArray[np.float64]:
    """Studentised means of `n` values and one more that is the worst possible.

    The further value keeps the error near alpha where what is rare but large has not
    been seen yet, and no variance is 0. Where losses are 0 or 1 it is McNemar's
    correction for continuity. What skewness adds to a mean that is studentised is taken
    off by the transformation of Hall (1992); it is never added.

    Parameters
    ----------
    n : int or array-like
    total, squares, cubes : float or array-like
        Sums of the values, of their squares and of their cubes.
    worst : float or array-like
        Below 0.

    Examples
    --------
    >>> statistics(100, [10, 20], [50, 50], [10, 20], -1).round(3)
    array([1.261, 2.69 ])
    """
    n, worst = np.asarray(n) + 1.0, np.asarray(worst, dtype=np.float64)
    mean = (np.asarray(total) + worst) / n
    square = (np.asarray(squares) + worst**2) / n
    cube = (np.asarray(cubes) + worst**3) / n
    variance = square - mean**2
    skewness = (cube - 3 * mean * square + 2 * mean**3) / variance**1.5
    statistic = mean * np.sqrt(n / variance)
    part = skewness / np.sqrt(n)
    corrected = (
        statistic + part * statistic**2 / 3 + part**2 * statistic**3 / 27 + part / 6
    )
    return np.asarray(np.minimum(statistic, corrected))


def _analysis(n: int, limit: float, sums: NDArray[np.float64]) -> Analysis:
    total, squares, cubes, least, most = map(float, sums)
    mean = total / n
    return Analysis(
        n=n,
        difference=-mean,
        error=math.sqrt(max(squares / n - mean**2, 0.0) / n),
        better=float(statistics(n, total, squares, cubes, least)),
        worse=float(statistics(n, -total, squares, -cubes, -most)),
        boundary=limit,
    )
