"""Guardrails: does the challenger fail, or answer slowly, more often than the champion?

Only the bad events count. While the arms are equally prone, each comes from the
challenger with the probability of its share, however often bad events are and however
they cluster, so that an outage that hits both arms alike is no evidence.
"""

import math
from typing import Any, Self

import msgspec
import numpy as np
from numpy.typing import ArrayLike, NDArray

from ml_assets.ml.sequential.counts import (
    Phase,
    as_shares,
    log_wealth_path,
    totals_of,
    with_events,
)
from ml_assets.ml.sequential.evidence import as_flags, check_alpha, same_length

# Kinds of event: bad for the challenger only, for the champion only, for both.
KINDS = 3
CHALLENGER, CHAMPION, BOTH = range(KINDS)
# Nothing bad happened; not an event.
NONE = -1
# Each bettor stakes as if the challenger were this many times as prone as tolerated.
RATIOS = np.array([1.25, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0, 100.0])
# In shadow mode both models answer every request.
PAIRED = 0.5


class Guardrail(msgspec.Struct, frozen=True, kw_only=True):
    """State of one guardrail; JSON by `msgspec.json`, and the same after a restart.

    Parameters
    ----------
    name : str
        What is counted, such as ``errors`` or ``slow answers``.
    alpha : float
        Chance that a challenger within the tolerance is ever found in breach.
    tolerance : float
        How many times the champion's rate is still accepted.
    requests_challenger, requests_champion : int
        Requests that each answered.
    phases : tuple of Phase
        Events by the challenger's share.
    log_e : float
        Log e-value now, against "within the tolerance".
    breached_at : int, optional
        Number of the challenger's request at which it was found in breach.

    Examples
    --------
    >>> rail = Guardrail(name="errors")
    >>> rail = rail.update_paired([False] * 50 + [True] * 12, [False] * 62)
    >>> rail.breached, rail.breached_at
    (True, 59)
    """

    name: str
    alpha: float = 0.01
    tolerance: float = 1.0
    requests_challenger: int = 0
    requests_champion: int = 0
    phases: tuple[Phase, ...] = ()
    log_e: float = 0.0
    breached_at: int | None = None

    def __post_init__(self) -> None:
        check_alpha(self.alpha)
        # Below one, simultaneous events would count against the challenger.
        if not 1 <= self.tolerance < math.inf:
            raise ValueError(f"tolerance must be 1 or more, found {self.tolerance}")

    @property
    def breached(self) -> bool:
        """Whether the challenger was ever found in breach."""
        return self.breached_at is not None

    def update_split(
        self, challenger: ArrayLike, bad: ArrayLike, share: ArrayLike
    ) -> Self:
        """The state after more requests, each answered by one arm.

        Parameters
        ----------
        challenger : bool or array-like of bool, shape (n,)
            Whether the challenger's arm answered.
        bad : bool or array-like of bool, shape (n,)
            Whether the answer failed, or was slow.
        share : float or array-like of float, shape (n,)
            The challenger's share of traffic at that time.

        Raises
        ------
        ValueError
            If lengths differ, a flag is neither true nor false, or a share is not
            above 0 and below 1.
        """
        arm, event = as_flags("challenger", challenger), as_flags("bad", bad)
        same_length(challenger=arm, bad=event)
        kinds = np.where(event, np.where(arm, CHALLENGER, CHAMPION), NONE)
        return self._after(kinds, as_shares(share, len(arm)), arm, ~arm)

    def update_paired(self, challenger_bad: ArrayLike, champion_bad: ArrayLike) -> Self:
        """The state after more requests that both models answered.

        Parameters
        ----------
        challenger_bad, champion_bad : bool or array-like of bool, shape (n,)
            Whether each answer failed, or was slow.

        Raises
        ------
        ValueError
            If the two differ in length, or hold anything but true and false.
        """
        first = as_flags("challenger_bad", challenger_bad)
        second = as_flags("champion_bad", champion_bad)
        same_length(challenger_bad=first, champion_bad=second)
        cases = [first & second, first, second]
        kinds = np.select(cases, [BOTH, CHALLENGER, CHAMPION], NONE)
        every = np.ones(len(first), dtype=bool)
        return self._after(kinds, as_shares(PAIRED, len(first)), every, every)

    def _after(
        self,
        kinds: NDArray[np.int64],
        shares: NDArray[np.float64],
        by_challenger: NDArray[np.bool_],
        by_champion: NDArray[np.bool_],
    ) -> Self:
        changes: dict[str, Any] = {
            "requests_challenger": self.requests_challenger + int(by_challenger.sum()),
            "requests_champion": self.requests_champion + int(by_champion.sum()),
        }
        at = np.flatnonzero(kinds != NONE)
        if len(at):
            kinds, shares = kinds[at], shares[at]
            path = log_wealth_path(self.phases, kinds, shares, self._bets)
            reached = np.flatnonzero(path >= -math.log(self.alpha))
            if self.breached_at is None and len(reached):
                answered = by_challenger[: at[reached[0]] + 1].sum()
                changes["breached_at"] = self.requests_challenger + int(answered)
            changes["phases"] = with_events(self.phases, kinds, shares, KINDS)
            changes["log_e"] = float(path[-1])
        return msgspec.structs.replace(self, **changes)

    def _bets(self, share: float) -> NDArray[np.float64]:
        """Log growth of each bettor by kind of event."""
        limit = _from_challenger(share, self.tolerance)
        hoped = _from_challenger(share, self.tolerance * RATIOS)
        up, down = hoped / limit, (1 - hoped) / (1 - limit)
        # Two at once, in shadow mode, leave the mean at one where the rates stand
        # exactly in the tolerated ratio.
        both = 1 - (self.tolerance - 1) * (up - 1)
        if share != PAIRED:
            both = np.ones_like(up)
        return np.log([up, down, both])

    def describe(self) -> str:
        """The figures in words.

        Examples
        --------
        >>> Guardrail(name="errors").describe()
        'errors: challenger 0 of 0 requests, champion 0 of 0'
        """
        totals = totals_of(self.phases, KINDS)
        return (
            f"{self.name}: challenger {totals[CHALLENGER] + totals[BOTH]:,}"
            f" of {self.requests_challenger:,} requests, champion"
            f" {totals[CHAMPION] + totals[BOTH]:,} of {self.requests_champion:,}"
        )


def _from_challenger(share: float, ratio: float | NDArray[np.float64]) -> Any:
    """Chance that a bad event is the challenger's, if it is `ratio` times as prone."""
    return ratio * share / (ratio * share + 1 - share)
