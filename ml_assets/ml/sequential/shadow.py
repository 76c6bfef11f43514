"""Shadow: challenger and champion answered the same requests; who is right more often?

Labels on which both are right, or both wrong, are no evidence of a difference. Of the
others the challenger wins each with probability 1/2 or less unless it is better.
"""

from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ml_assets.ml.sequential.bernoulli import log_e_above
from ml_assets.ml.sequential.evidence import Evidence, Trace, as_flags, same_length


class Shadow(Evidence, frozen=True, kw_only=True):
    """State of a paired comparison.

    Parameters
    ----------
    wins, losses : int
        Labels on which only the challenger, or only the champion, was right.
    concentration : float
        Of the beta density over the chance of a win. With 16 it finds 50 to 74 % of
        wins soonest: a tenth of the labels on which two good models differ.

    Examples
    --------
    >>> state = Shadow().update([True] * 12, [False] * 12)
    >>> state.decided, state.decided_at
    ('promote', 12)
    """

    wins: int = 0
    losses: int = 0
    concentration: float = 16.0

    def update(self, challenger_right: ArrayLike, champion_right: ArrayLike) -> Self:
        """The state after more labels, in the order of their arrival.

        Parameters
        ----------
        challenger_right, champion_right : bool or array-like of bool, shape (n,)
            Whether each model's answer was the label. One call with many labels gives
            the same state as one call for each.

        Raises
        ------
        ValueError
            If the two differ in length, or hold anything but true and false.
        """
        wins, losses = self._counts(challenger_right, champion_right)
        if not len(wins):
            return self
        trace = self._evaluated(wins, losses)
        return self._after(trace, wins=int(wins[-1]), losses=int(losses[-1]))

    def trace(self, challenger_right: ArrayLike, champion_right: ArrayLike) -> Trace:
        """Log e-values after each of these labels, had they come next."""
        return self._evaluated(*self._counts(challenger_right, champion_right))

    def _counts(
        self, challenger_right: ArrayLike, champion_right: ArrayLike
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        challenger = as_flags("challenger_right", challenger_right)
        champion = as_flags("champion_right", champion_right)
        same_length(challenger_right=challenger, champion_right=champion)
        wins = self.wins + np.cumsum(challenger & ~champion)
        return wins, self.losses + np.cumsum(champion & ~challenger)

    def _evaluated(self, wins: NDArray[np.int64], losses: NDArray[np.int64]) -> Trace:
        # Most labels change neither count; the others are evaluated once.
        changes = np.diff(wins + losses, prepend=-1) != 0
        at = np.cumsum(changes) - 1
        won, lost = wins[changes], losses[changes]
        better = log_e_above(won, lost, 0.5, self.concentration)
        worse = log_e_above(lost, won, 0.5, self.concentration)
        return Trace(better[at], worse[at])

    def describe(self) -> str:
        """The figures in words.

        Examples
        --------
        >>> Shadow(n=900, wins=40, losses=22).describe()
        'of 900 labels the models differ on 62: the challenger was right on 40 of them'
        """
        differ = self.wins + self.losses
        return (
            f"of {self.n:,} labels the models differ on {differ:,}:"
            f" the challenger was right on {self.wins:,} of them"
        )


def wins_to_promote(
    losses: int, alpha: float = 0.05, concentration: float = 16.0
) -> int:
    """The least number of wins that promotes against `losses`.

    Examples
    --------
    >>> [wins_to_promote(losses) for losses in (0, 10, 50)]
    [12, 28, 82]
    """
    wins = np.arange(losses, 2 * losses + 1_000)
    log_e = log_e_above(wins, losses, 0.5, concentration)
    return int(wins[np.argmax(log_e >= -np.log(alpha))])
