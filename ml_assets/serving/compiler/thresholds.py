"""Thresholds and limits on request values, instead of on what the estimator gets.

Scaling and rounding to float32 never change the order of two values. So for each
threshold of a tree there is a greatest request value that still goes left; a search
over the float64 numbers finds it exactly, and nothing is scaled or rounded again. The
limits beyond which scikit-learn refuses a value are found in the same way.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ml_assets.serving.compiler.encoding import (
    CategoryFeature,
    Encoding,
    Floats,
    NumericFeature,
)

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


def image(feature: NumericFeature, values: Floats, is_single: bool) -> Floats:
    """What the estimator compares: the feature, rounded where it works in float32."""
    found = feature.apply(values)
    if is_single:
        with np.errstate(over="ignore"):
            return found.astype(np.float32).astype(np.float64)
    return found


def request_thresholds(
    feature: NumericFeature, limits: NDArray[np.float64], is_single: bool
) -> NDArray[np.float64]:
    """Thresholds on the request value that decide as `limits` on the feature do."""
    if feature.is_identity and not is_single:
        return limits
    return greatest_below(lambda values: image(feature, values, is_single), limits)


@dataclass(frozen=True)
class Guards:
    """Limits of the numeric sources and refused codes of the category sources.

    Attributes
    ----------
    limits : ndarray of float64, shape (n_numeric, 2)
        A value must be above the first and not above the second; NaN for no limit.
    takes_missing : ndarray of bool, shape (n_numeric,)
    refused : list of ndarray of bool, shape (n_codes,)
        One array a category source.
    """

    limits: Floats
    takes_missing: NDArray[np.bool_]
    refused: list[NDArray[np.bool_]]


def _image_of(feature: NumericFeature, is_single: bool, values: Floats) -> Floats:
    return image(feature, values, is_single)


def find_guards(
    encoding: Encoding, is_single: bool, takes_missing: bool, takes_infinite: bool
) -> Guards:
    """Work out what scikit-learn's input validation would refuse."""
    limits = np.full((len(encoding.numeric), 2), np.nan)
    missing = np.ones(len(encoding.numeric), dtype=bool)
    refused = [np.zeros(len(s.categories) + 2, dtype=bool) for s in encoding.category]
    greatest = np.finfo(np.float32 if is_single else np.float64).max
    for feature in encoding.features:
        if isinstance(feature, CategoryFeature):
            if not takes_missing:
                refused[feature.source] |= np.isnan(feature.table)
            continue
        missing[feature.source] &= takes_missing or not np.isnan(feature.fill)
        if feature.finite:
            _tighten(limits[feature.source], -np.inf, np.finfo(np.float64).max)
        if not takes_infinite:
            low, high = greatest_below(
                functools.partial(_image_of, feature, is_single),
                np.array([-np.inf, float(greatest)]),
            )
            _tighten(limits[feature.source], low, high)
    return Guards(limits, missing, refused)


def _tighten(limits: Floats, low: float, high: float) -> None:
    limits[0] = np.fmax(limits[0], low)
    limits[1] = np.fmin(limits[1], high)
