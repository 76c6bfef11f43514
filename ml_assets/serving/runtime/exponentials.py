"""The exponential functions of the boosting libraries, to the last bit.

None is numpy's own, which is vectorised and rounds some values otherwise.
"""

import ctypes
from math import exp, log

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]

# Whatever C library this process runs with, as XGBoost uses it. Without giving the
# interpreter's lock away, which would take longer than the function.
_EXPF = ctypes.PyDLL(None).expf
_EXPF.restype = ctypes.c_float
_EXPF.argtypes = [ctypes.c_float]
# XGBoost bounds the argument so that the power stays finite.
_LARGEST = float(np.float32(88.7))

# Powers of 2 between two whole exponents, in so many steps.
_STEPS = 2**11
_TABLE = np.array([2.0 ** (step / _STEPS) for step in range(_STEPS)])
_PER_UNIT = _STEPS / log(2.0)
# Outside, the power is 0 or infinite in float64.
_SMALLEST_POWER, _LARGEST_POWER = -708.39641853226408, 709.78271289338397
_AT_ONCE = 4
# The polynomial of what lies between two steps.
_SIXTH, _THREE = 0.16666666685227835064, 3.0000000027955394


def expf(values: Singles) -> Singles:
    """The exponential of the C library in float32.

    Examples
    --------
    >>> expf(np.array([0.0, 1.0], np.float32)).tolist()
    [1.0, 2.7182817459106445]
    """
    return np.fromiter(map(_EXPF, values.tolist()), np.float32, len(values))


def logistic_single(value: float) -> float:
    """``1 / (1 + exp(-value))`` in float32, as XGBoost has it.

    Each of the two operations in float64 is rounded once more, which gives the same
    number as the operation in float32.

    Examples
    --------
    >>> logistic_single(0.0), logistic_single(-1e9) > 0
    (0.5, True)
    """
    whole = float(np.float32(_EXPF(min(-value, _LARGEST)) + 1.0))
    return float(np.float32(1.0 / whole))


def logistics_single(values: Singles) -> Singles:
    """`logistic_single` of each value."""
    one = np.float32(1.0)
    found: Singles = one / (expf(np.minimum(-values, np.float32(_LARGEST))) + one)
    return found


def softmax_single(totals: Singles) -> Singles:
    """The exponentials of each row as parts of one, in float32, as XGBoost has it.

    Examples
    --------
    >>> softmax_single(np.zeros((1, 4), np.float32)).tolist()
    [[0.25, 0.25, 0.25, 0.25]]
    """
    relative = totals - totals.max(axis=1).reshape(-1, 1)
    powers = expf(relative.ravel()).reshape(totals.shape)
    # The sum alone is in float64.
    whole: Floats = np.add.accumulate(powers, axis=1, dtype=np.float64)[:, -1:]
    found: Singles = np.divide(powers, whole.astype(np.float32))
    return found


def exp_by_table(values: Floats) -> Floats:
    """The exponential by a table of powers of 2 and a cubic, as CatBoost has it on x86.

    It differs from the C library's by an ulp near zero, and by up to 1e-13 of itself
    far from it. The method is Mitsunari's (fmath, 2009). CatBoost works on four values
    of the last axis at once, whose powers stay above zero; those of the rest do not.

    Examples
    --------
    >>> exp_by_table(np.array([0.0, -1e4, 1e4])).tolist()
    [1.0, 0.0, inf]
    """
    bounded = np.clip(values, _SMALLEST_POWER, _LARGEST_POWER)
    steps = np.rint(bounded * _PER_UNIT)
    number = steps.astype(np.int64)
    rest = steps * (1.0 / _PER_UNIT) - bounded
    factor = (_THREE - rest) * (rest * rest) * _SIXTH - rest + 1.0
    with np.errstate(over="ignore"):
        found: Floats = factor * np.ldexp(_TABLE[number % _STEPS], number // _STEPS)
    count = values.shape[-1]
    is_rest = np.arange(count) >= count - count % _AT_ONCE
    found[(values <= _SMALLEST_POWER) & is_rest] = 0.0
    found[values >= _LARGEST_POWER] = np.inf
    return found


def softmax_by_table(totals: Floats) -> Floats:
    """The exponentials of each row as parts of one, by `exp_by_table`.

    Examples
    --------
    >>> softmax_by_table(np.zeros((1, 4))).tolist()
    [[0.25, 0.25, 0.25, 0.25]]
    """
    powers = exp_by_table(totals - totals.max(axis=1).reshape(-1, 1))
    found: Floats = powers / np.add.accumulate(powers, axis=1)[:, -1:]
    return found


def exp_by_libm(values: Floats) -> Floats:
    """The exponential of the C library in float64, as LightGBM has it.

    CatBoost has it on other processors than x86.

    Examples
    --------
    >>> exp_by_libm(np.array([0.0, 1e4])).tolist()
    [1.0, inf]
    """
    try:
        return np.fromiter(map(exp, values.tolist()), np.float64, len(values))
    except OverflowError:
        found = exp_by_libm(np.minimum(values, _LARGEST_POWER))
        found[values > _LARGEST_POWER] = np.inf
        return found


def softmax_by_libm(totals: Floats) -> Floats:
    """The exponentials of each row as parts of one, by `exp_by_libm`.

    Examples
    --------
    >>> softmax_by_libm(np.zeros((1, 4))).tolist()
    [[0.25, 0.25, 0.25, 0.25]]
    """
    relative = totals - totals.max(axis=1).reshape(-1, 1)
    powers = exp_by_libm(relative.ravel()).reshape(totals.shape)
    found: Floats = powers / np.add.accumulate(powers, axis=1)[:, -1:]
    return found
