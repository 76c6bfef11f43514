"""Counts of what happened to requests, by share of traffic and by kind of event.

A bet depends on the share of the challenger's arm, which canary steps change. Kept
apart by share, four counts are all that the evidence needs, however long it runs.
"""

from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
from numpy.typing import ArrayLike, NDArray

# What a bettor makes of each kind of event: (share) -> logs of shape (kinds, bettors).
Factors = Callable[[float], NDArray[np.float64]]


class Phase(msgspec.Struct, frozen=True):
    """How often each kind of event happened while the challenger had `share`."""

    share: float
    counts: tuple[int, ...]


def log_wealth(phases: tuple[Phase, ...], factors: Factors) -> float:
    """Log of the mean wealth of all bettors after `phases`; 0 before any event."""
    counts = [(phase.share, np.array([phase.counts])) for phase in phases]
    return float(log_mean(_summed(counts, factors))[0]) if phases else 0.0


def log_wealth_path(
    phases: tuple[Phase, ...],
    kinds: NDArray[np.int64],
    shares: NDArray[np.float64],
    factors: Factors,
) -> NDArray[np.float64]:
    """Log of the mean wealth after each further event, of shape (n,)."""
    width = len(factors(float(shares[0])))
    counts = [
        (share, np.cumsum(_marks(kinds, shares == share, width), axis=0) + before)
        for share, before in _known(phases, shares, width).items()
    ]
    return log_mean(_summed(counts, factors))


def with_events(
    phases: tuple[Phase, ...],
    kinds: NDArray[np.int64],
    shares: NDArray[np.float64],
    width: int,
) -> tuple[Phase, ...]:
    """`phases` with the further events counted, ordered by share."""
    known = _known(phases, shares, width)
    for share, before in known.items():
        known[share] = before + np.bincount(kinds[shares == share], minlength=width)
    return tuple(Phase(share, tuple(map(int, known[share]))) for share in sorted(known))


def totals_of(phases: tuple[Phase, ...], width: int) -> NDArray[np.int64]:
    """How often each kind of event happened in all, of shape (width,)."""
    counts = [phase.counts for phase in phases]
    table = np.array(counts, dtype=np.int64).reshape(-1, width)
    return np.asarray(table.sum(axis=0))


def as_shares(share: ArrayLike, n: int) -> NDArray[np.float64]:
    """The share of each of `n` requests.

    Raises
    ------
    ValueError
        If a share is not above 0 and below 1: then one arm had no traffic.
    """
    shares = np.broadcast_to(np.asarray(share, dtype=np.float64), (n,))
    wrong = ~((shares > 0) & (shares < 1))
    if wrong.any():
        raise ValueError(
            "the challenger's share must be above 0 and below 1,"
            f" found {shares[wrong][0]}"
        )
    return shares


def _known(
    phases: tuple[Phase, ...], shares: NDArray[np.float64], width: int
) -> dict[float, NDArray[np.int64]]:
    known = {phase.share: np.array(phase.counts) for phase in phases}
    for share in map(float, np.unique(shares)):
        known.setdefault(share, np.zeros(width, dtype=np.int64))
    # One order, so that sums round alike however the events were handed over.
    return {share: known[share] for share in sorted(known)}


def _marks(kinds: NDArray[Any], chosen: NDArray[Any], width: int) -> NDArray[np.int64]:
    marks = np.zeros((len(kinds), width), dtype=np.int64)
    marks[np.flatnonzero(chosen), kinds[chosen]] = 1
    return marks


def _summed(
    counts: list[tuple[float, NDArray[np.int64]]], factors: Factors
) -> NDArray[np.float64]:
    """Log wealth of each bettor; term by term, so that no batch size changes a bit."""
    total: Any = 0.0
    for share, count in counts:
        for kind, logs in enumerate(factors(share)):
            total = total + count[:, kind, None] * logs
    return np.asarray(total)


def log_mean(logs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Log of the mean wealth of the bettors, from (n, bettors) to shape (n,)."""
    highest = logs.max(axis=1)
    total = np.zeros(len(logs))
    for bettor in range(logs.shape[1]):
        total += np.exp(logs[:, bettor] - highest)
    return np.asarray(highest + np.log(total / logs.shape[1]))
