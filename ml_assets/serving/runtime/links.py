"""From the sum of an ensemble to a probability, bit for bit as scikit-learn does it."""

from math import exp

import numpy as np
from numpy.typing import NDArray

from ml_assets.serving.runtime.program import Program

Floats = NDArray[np.float64]


def logistic(value: float) -> float:
    """``1 / (1 + exp(-value))`` with the exponential of the C library, as scipy has it.

    numpy's own exponential is vectorised and may differ in the last bit.
    """
    try:
        return 1.0 / (1.0 + exp(-value))
    except OverflowError:
        return 0.0


def _logistic(values: Floats) -> Floats:
    """`logistic` of each value."""
    try:
        powers = np.fromiter(map(exp, (-values).tolist()), np.float64, len(values))
    except OverflowError:
        return np.array([logistic(value) for value in values.tolist()])
    return 1.0 / (1.0 + powers)


class Link:
    """The last step of a program."""

    def __init__(self, program: Program) -> None:
        self._is_logit = program.link == "logit"
        self._count = float(program.count)
        self._is_complement = program.complement

    def one(self, total: float) -> float:
        """Probability for one sum."""
        found = logistic(total) if self._is_logit else total / self._count
        return 1.0 - found if self._is_complement else found

    def many(self, totals: Floats) -> Floats:
        """Probabilities for an array of sums."""
        if self._is_logit:
            found = _logistic(totals)
        else:
            found = totals / self._count
        return 1.0 - found if self._is_complement else found
