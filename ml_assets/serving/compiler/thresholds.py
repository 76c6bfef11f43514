"""Thresholds on what a request holds, in place of thresholds on what a tree sees.

Scaling and rounding to float32 never change the order of two values. So for each
threshold of a tree there is a greatest request value that still goes left; a search
over the float64 numbers finds it exactly, and nothing is scaled or rounded again.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_SIGN = np.uint64(1) << np.uint64(63)


def greatest_below(function: Callable[[Floats], Floats], limits: Floats) -> Floats:
    """The greatest float64 whose image does not exceed each limit.

    Parameters
    ----------
    function : callable
        Never decreasing, from float64 to numbers that compare with float64.
    limits : ndarray of shape (n,)

    Returns
    -------
    ndarray of float64, shape (n,)
        Minus infinity where only its image is below.

    Examples
    --------
    >>> import numpy as np
    >>> third = greatest_below(lambda x: x.astype(np.float32), np.array([0.5]))
    >>> bool(np.float32(third[0]) == 0.5), bool(third[0] > 0.5)
    (True, True)
    """
    low = np.full(limits.shape, _key(np.array([-np.inf]))[0])
    high = np.full(limits.shape, _key(np.array([np.inf]))[0])
    one = np.uint64(1)
    with np.errstate(over="ignore", invalid="ignore"):
        while (low < high).any():
            # Rounded up, so that low = middle always makes progress.
            middle = high - (high - low) // np.uint64(2)
            is_below = function(_value(middle)) <= limits
            low = np.where(is_below, middle, low)
            high = np.where(is_below, high, np.maximum(middle - one, low))
    return _value(low)


def _key(values: Floats) -> NDArray[np.uint64]:
    """Integers in the order of the floats."""
    bits = values.view(np.uint64)
    return np.where(bits & _SIGN, ~bits, bits | _SIGN)


def _value(keys: NDArray[np.uint64]) -> Floats:
    bits = np.where(keys & _SIGN, keys ^ _SIGN, ~keys)
    return bits.view(np.float64)
