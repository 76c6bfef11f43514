"""Evidence that a mean fell below a limit, whenever that began, and rose again."""

import numpy as np
from numpy.typing import NDArray

# Rates that are bet on, as shares of the way from the offline figure to the worst.
ALTERNATIVES = (0.02, 0.05, 0.1, 0.2, 0.4, 0.8)
# A change may begin at any multiple of so many labels.
BLOCK = 25


def state_of(
    good: NDArray[np.float64], limit: float, threshold: float
) -> tuple[int, bool, float]:
    """Where what is judged now begins, whether it is degraded, and the log e-value.

    The figure is called degraded when it is shown to be below the limit, and no longer
    when what came after that is shown to be above it; then all begins anew.
    """
    since = at = 0
    degraded = False
    while True:
        # Once degraded, it is the right answers whose rate is to be shown to be high.
        rest = good[at:]
        log_e = (
            log_e_since(rest, limit) if degraded else log_e_since(1 - rest, 1 - limit)
        )
        shown = np.flatnonzero(log_e >= threshold)
        if not len(shown):
            return since, degraded, float(log_e[-1]) if len(log_e) else 0.0
        at += int(shown[0]) + 1
        since, degraded = (since if not degraded else at), not degraded


def log_e_since(outcomes: NDArray[np.float64], null: float) -> NDArray[np.float64]:
    """Log e-value, after each outcome, against "their mean is at most `null`".

    It is a bet on each of several higher means, begun anew at every block of labels: a
    change after thousands of labels is seen as soon as one at the start. The stakes of
    the beginnings, 1 / k (k + 1), add up to one, so that the sum is an e-process.

    Parameters
    ----------
    outcomes : ndarray of shape (n,)
        Each from 0 to 1, in the order in which they came.
    null : float
        The limit, above 0 and below 1.

    Returns
    -------
    ndarray of shape (n,)
        Its exponential exceeds ``1 / alpha`` *ever* with probability at most ``alpha``
        (Ville's inequality).

    Examples
    --------
    >>> late = np.repeat([0.0, 1.0], [5_000, 40])
    >>> bool(log_e_since(late, 0.2)[-1] > np.log(1_000))
    True
    """
    if not len(outcomes):
        return np.zeros(0)
    steps = np.arange(len(outcomes))
    block = steps // BLOCK + 1
    stake = np.where(steps % BLOCK == 0, -np.log(block * (block + 1.0)), -np.inf)
    # What is staked on beginnings that are still to come.
    found = [-np.log(block + 1.0)]
    for share in ALTERNATIVES:
        mean = null + share * (1 - null)
        gains = np.log1p((mean - null) / (null * (1 - null)) * (outcomes - null))
        total = np.cumsum(gains)
        begun = np.logaddexp.accumulate(stake - (total - gains))
        found.append(total + begun - np.log(len(ALTERNATIVES)))
    return np.asarray(np.logaddexp.reduce(found))
