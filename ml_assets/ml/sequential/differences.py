"""Differences between two arms: values with the difference of mean losses as mean.

A value is positive where it speaks for the challenger. Both tests of bounded losses, at
any time and planned, know these values only, and not how requests were divided.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ml_assets.ml.sequential.counts import as_shares
from ml_assets.ml.sequential.evidence import as_flags, same_length
from ml_assets.ml.sequential.losses import as_losses

# How many labels the first guess of the mean loss counts as.
GUESS_WEIGHT = 10.0


class Differences(NamedTuple):
    """Values of n labels in the order of their arrival, each of shape (n,).

    Attributes
    ----------
    values : ndarray
        Mean loss of the champion minus the challenger's, up to chance.
    low, high : ndarray
        What each value could have been at least and at most; below 0 and above 0, and
        known before the label.
    """

    values: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]

    def slice(self, start: int, stop: int) -> "Differences":
        """The labels from `start` up to, and without, `stop`."""
        return Differences(*(column[start:stop] for column in self))


def paired(challenger: ArrayLike, champion: ArrayLike) -> Differences:
    """Both models answered each request.

    Parameters
    ----------
    challenger, champion : array-like of float, shape (n,)
        Loss of each model's answer, from 0 to 1.

    Raises
    ------
    ValueError
        If the two differ in length, or a loss is not from 0 to 1.
    """
    tried = as_losses("loss of the challenger", challenger)
    live = as_losses("loss of the champion", champion)
    same_length(challenger=tried, champion=live)
    return Differences(live - tried, np.full(len(live), -1.0), np.ones(len(live)))


def split(
    challenger: ArrayLike, loss: ArrayLike, share: ArrayLike, expected: float = 0.5
) -> Differences:
    """Each request was answered by one arm, drawn with known probability.

    With ``m`` the mean of the losses *before* a label, ``(m - loss) / share`` where the
    challenger answered and ``-(m - loss) / (1 - share)`` where the champion did have
    the difference as their mean (Horvitz and Thompson 1952) for every ``m``; one near
    the mean makes them vary least.

    Parameters
    ----------
    challenger : bool or array-like of bool, shape (n,)
        Whether the challenger's arm answered.
    loss : array-like of float, shape (n,)
        Of that answer, from 0 to 1.
    share : float or array-like of float, shape (n,)
        The challenger's share of traffic when the request was answered.
    expected : float
        First guess of the mean loss, from 0 to 1; it fades after ten labels.

    Raises
    ------
    ValueError
        If lengths differ, a flag is neither true nor false, a loss is not from 0 to 1,
        or a share is not above 0 and below 1.

    Examples
    --------
    >>> split([True, False], [0.0, 1.0], share=0.5, expected=0.2).values.round(3)
    array([0.4  , 1.636])
    """
    arm, losses = as_flags("challenger", challenger), as_losses("loss", loss)
    same_length(challenger=arm, loss=losses)
    shares = as_shares(share, len(arm))
    (first,) = as_losses("expected loss", expected)
    seen = np.arange(len(losses)) + GUESS_WEIGHT
    means = (GUESS_WEIGHT * first + np.cumsum(losses) - losses) / seen
    # Rounding of the sum may leave the range of a mean.
    means = means.clip(0.0, 1.0)
    weights = np.where(arm, 1 / shares, -1 / (1 - shares))
    low = np.minimum((means - 1) / shares, -means / (1 - shares))
    high = np.maximum(means / shares, (1 - means) / (1 - shares))
    return Differences(weights * (means - losses), low, high)
