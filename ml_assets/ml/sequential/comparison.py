"""The comparison of two arms by a loss: the test that its kind and design ask for."""

import numpy as np
from numpy.typing import ArrayLike

from ml_assets.ml.sequential.betting import Betting
from ml_assets.ml.sequential.differences import Differences, paired, split
from ml_assets.ml.sequential.evidence import Trace
from ml_assets.ml.sequential.losses import Loss, as_losses
from ml_assets.ml.sequential.planned import Planned
from ml_assets.ml.sequential.shadow import Shadow
from ml_assets.ml.sequential.split import Split

Comparison = Shadow | Split | Betting | Planned
# An accuracy on which bets are centred must leave room on both sides.
BORDER = 0.01


def compare_paired(
    loss: Loss,
    challenger: ArrayLike,
    champion: ArrayLike,
    *,
    alpha: float = 0.05,
    labels: int | None = None,
) -> tuple[Comparison, Trace]:
    """Two models that answered the same requests.

    Parameters
    ----------
    loss : Loss
        Its name and bound, and whether it is 0 or 1.
    challenger, champion : array-like of float, shape (n,)
        Losses of each, from 0 to 1, in the order in which the labels arrived.
    alpha : float
        Chance of ever promoting a challenger that is not better.
    labels : int, optional
        A planned number of labels; by default evidence is valid at any time.

    Returns
    -------
    tuple of Comparison and Trace

    Raises
    ------
    ValueError
        If lengths differ, or a loss is not from 0 to 1 (0 or 1 where it is binary).

    Examples
    --------
    >>> from ml_assets.ml.sequential import ERROR
    >>> state, _ = compare_paired(ERROR, [0] * 12, [1] * 12)
    >>> state.decided, state.decided_at
    ('promote', 12)
    """
    if loss.is_binary and labels is None:
        state = Shadow(alpha=alpha)
        # A loss of 1 is a wrong answer.
        right = _complement(challenger), _complement(champion)
        return state.update(*right), state.trace(*right)
    return _bounded(loss, paired(challenger, champion), alpha, labels)


def compare_split(
    loss: Loss,
    challenger: ArrayLike,
    losses: ArrayLike,
    share: ArrayLike,
    *,
    expected: float = 0.5,
    alpha: float = 0.05,
    labels: int | None = None,
) -> tuple[Comparison, Trace]:
    """Two arms that each answered requests of their own.

    Parameters
    ----------
    loss : Loss
        Its name and bound, and whether it is 0 or 1.
    challenger : array-like of bool, shape (n,)
        Whether the challenger's arm answered, in the order in which labels arrived.
    losses : array-like of float, shape (n,)
        Of those answers, from 0 to 1.
    share : float or array-like of float, shape (n,)
        The challenger's share of traffic when each request was answered.
    expected : float
        Guess of either arm's mean loss, fixed before the first label.
    alpha, labels
        As in `compare_paired`.

    Raises
    ------
    ValueError
        If lengths differ, a loss is not from 0 to 1 (0 or 1 where it is binary), or a
        share is not above 0 and below 1.
    """
    if loss.is_binary and labels is None:
        accuracy = min(max(round(1 - expected, 12), BORDER), 1 - BORDER)
        state = Split(alpha=alpha, expected=accuracy)
        if not np.size(losses):
            return state, _no_trace()
        given = challenger, _complement(losses), share
        return state.update(*given), state.trace(*given)
    values = split(challenger, losses, share, expected)
    return _bounded(loss, values, alpha, labels)


def _bounded(
    loss: Loss, values: Differences, alpha: float, labels: int | None
) -> tuple[Comparison, Trace]:
    state: Betting | Planned = Betting(alpha=alpha, scale=loss.scale)
    if labels is not None:
        state = Planned(alpha=alpha, scale=loss.scale, labels=labels)
    if not len(values.values):
        return state, _no_trace()
    return state.update(values), state.trace(values)


def _complement(losses: ArrayLike) -> ArrayLike:
    return 1 - as_losses("loss", losses)


def _no_trace() -> Trace:
    return Trace(np.zeros(0), np.zeros(0))
