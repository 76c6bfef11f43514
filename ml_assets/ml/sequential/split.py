"""Split: each request goes to one arm; is the challenger right more often?

With the share of traffic known, ``z`` below has the difference of the two accuracies as
its mean, whatever they are. Bettors stake on ``z`` being above (or below) a difference;
a difference at which they have grown rich is not the true one.
"""

from functools import partial
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ml_assets.ml.sequential.counts import (
    Factors,
    Phase,
    as_shares,
    log_wealth,
    log_wealth_path,
    totals_of,
    with_events,
)
from ml_assets.ml.sequential.evidence import Evidence, Trace, as_flags, same_length

# Kinds of event: the challenger's answer right, wrong; the champion's right, wrong.
KINDS = 4
# Each bettor stakes as if the true difference were one of these.
HOPES = 0.005 * 2 ** (np.arange(13) / 2)
# No bettor stakes more than this part of what the worst event could take.
BOLDEST = 0.75
# Labels evaluated at a time: with 13 bettors some tens of megabytes.
SLICE = 100_000
# Halvings of [-1, 1] after which a limit of the interval is exact to 1e-9.
HALVINGS = 31


class Split(Evidence, frozen=True, kw_only=True):
    """State of an unpaired comparison of two arms.

    Parameters
    ----------
    expected : float
        A guess of either arm's accuracy, such as the champion's in evaluation, fixed
        when the comparison starts. A bad guess widens the interval; it stays valid.
    phases : tuple of Phase
        Right and wrong answers of the challenger, then of the champion, by share.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> challenger = rng.random(4_000) < 0.5
    >>> right = rng.random(4_000) < np.where(challenger, 0.88, 0.8)
    >>> state = Split(expected=0.8).update(challenger, right, share=0.5)
    >>> state.decided, round(state.difference, 3)
    ('promote', 0.084)
    """

    expected: float
    phases: tuple[Phase, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.expected < 1:
            raise ValueError(
                f"expected accuracy must be above 0 and below 1, found {self.expected}"
            )

    def update(self, challenger: ArrayLike, right: ArrayLike, share: ArrayLike) -> Self:
        """The state after more labels, in the order of their arrival.

        Parameters
        ----------
        challenger : bool or array-like of bool, shape (n,)
            Whether the challenger's arm answered the request.
        right : bool or array-like of bool, shape (n,)
            Whether the answer was the label.
        share : float or array-like of float, shape (n,)
            The challenger's share of traffic when the request was answered.

        Raises
        ------
        ValueError
            If lengths differ, a flag is neither true nor false, or a share is not
            above 0 and below 1.
        """
        kinds, shares = _events(challenger, right, share)
        state = self
        for start in range(0, len(kinds), SLICE):
            state = state._counted(
                kinds[start : start + SLICE], shares[start : start + SLICE]
            )
        return state

    def _counted(self, kinds: NDArray[np.int64], shares: NDArray[np.float64]) -> Self:
        phases = with_events(self.phases, kinds, shares, KINDS)
        return self._after(self._evaluated(kinds, shares), phases=phases)

    def trace(self, challenger: ArrayLike, right: ArrayLike, share: ArrayLike) -> Trace:
        """Log e-values after each of these labels, had they come next."""
        return self._evaluated(*_events(challenger, right, share))

    def _evaluated(
        self, kinds: NDArray[np.int64], shares: NDArray[np.float64]
    ) -> Trace:
        return Trace(
            log_wealth_path(self.phases, kinds, shares, self._bets_on(0.0, up=True)),
            log_wealth_path(self.phases, kinds, shares, self._bets_on(0.0, up=False)),
        )

    def _bets_on(self, difference: float, up: bool) -> Factors:
        """Bets that the truth is above `difference`, or below it."""
        return partial(self._bets, difference=difference, up=up)

    def _bets(self, share: float, difference: float, up: bool) -> NDArray[np.float64]:
        """Log growth of each bettor by kind of event."""
        z = _values(share, self.expected) * (1 if up else -1)
        variance = self.expected * (1 - self.expected) * (1 / share + 1 / (1 - share))
        # Any difference down to -1 must leave every bettor with something.
        stakes = np.minimum(HOPES / variance, BOLDEST / (1 - z.min()))
        excess = z - difference * (1 if up else -1)
        growth: NDArray[np.float64] = np.log1p(stakes * excess[:, None])
        return growth

    def interval(self) -> tuple[float, float]:
        """Limits of the true difference, challenger minus champion.

        The truth is never below the lower limit, at any time, but with probability
        ``alpha``; the same of the upper. Both hold with ``1 - 2 * alpha``.
        """
        return -self._limit(up=False), self._limit(up=True)

    def _limit(self, up: bool) -> float:
        """Upper limit of the difference, or of its negative."""
        low, high = -1.0, 1.0
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            against = middle if up else -middle
            wealth = log_wealth(self.phases, self._bets_on(against, not up))
            if wealth >= self.threshold:
                high = middle
            else:
                low = middle
        return high

    @property
    def difference(self) -> float:
        """Accuracy of the challenger's arm minus the champion's; NaN without both."""
        totals = totals_of(self.phases, KINDS)
        answers = totals[0] + totals[1], totals[2] + totals[3]
        if not all(answers):
            return float("nan")
        return float(totals[0] / answers[0] - totals[2] / answers[1])

    def describe(self) -> str:
        """The figures in words."""
        if not self.n:
            return "no labels yet"
        low, high = self.interval()
        return (
            f"after {self.n:,} labels the challenger's accuracy is"
            f" {self.difference:+.4f} against the champion's,"
            f" between {low:+.4f} and {high:+.4f}"
        )


def _values(share: float, expected: float) -> NDArray[np.float64]:
    """``z`` of each kind of event: its mean is the difference of the accuracies."""
    right, wrong = 1 - expected, -expected
    arms = (right / share, wrong / share, -right / (1 - share), -wrong / (1 - share))
    return np.array(arms)


def _events(
    challenger: ArrayLike, right: ArrayLike, share: ArrayLike
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    arm, good = as_flags("challenger", challenger), as_flags("right", right)
    same_length(challenger=arm, right=good)
    kinds = np.where(arm, 0, 2) + np.where(good, 0, 1)
    return kinds, as_shares(share, len(arm))
