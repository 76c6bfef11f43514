"""The tolerance within which two answers to one row count as the same.

A dot product is added up in another order for one row than for a batch, by another
BLAS, or on another processor, and `exp` may differ by an ulp between two processors.
Answers that one process gave are compared by `is_close`: by the compiler, at packaging
and before fitting. Answers of two machines are compared by `is_repeated`.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

RELATIVE = 1e-10
# Of a probability next to zero, whose relative error grows with its logit.
ABSOLUTE = 1e-12
# Some models add up in float32, of which this is eight ulps: XGBoost's, and those of
# scikit-learn that start from another estimator.
ELSEWHERE = 2.0**-20


def is_close(
    found: ArrayLike, expected: ArrayLike, scale: float = 1.0
) -> NDArray[np.bool_]:
    """For each answer whether it is the one expected.

    Parameters
    ----------
    found, expected : array-like of shape (n,) or (n, k)
    scale : float
        Size of the usual answers: 1 for probabilities, `scale_of` them for values.

    Returns
    -------
    ndarray of bool, shape (n,)
        An answer of several numbers is close if all of them are.

    Examples
    --------
    >>> is_close([0.25, 0.25, float("nan")], [0.25 + 1e-16, 0.2501, 0.25]).tolist()
    [True, False, False]
    """
    same: NDArray[np.bool_] = np.isclose(
        found, expected, rtol=RELATIVE, atol=ABSOLUTE * scale
    )
    if same.ndim == 2:
        same = np.all(same, axis=1)
    return same


def is_repeated(
    found: ArrayLike, stored: ArrayLike, largest: float
) -> NDArray[np.bool_]:
    """For each answer whether it is the stored one, maybe of another machine.

    Parameters
    ----------
    found, stored : array-like of shape (n,) or (n, k)
    largest : float
        Of the absolute values of all answers: those near zero come of terms of its
        size, whose sum has as much of an error.

    Examples
    --------
    >>> is_repeated([0.25, 1e-9, 0.25], [0.2500001, 0.0, 0.2501], 0.25).tolist()
    [True, True, False]
    """
    absolute = max(ABSOLUTE, ELSEWHERE * largest)
    same: NDArray[np.bool_] = np.isclose(found, stored, rtol=ELSEWHERE, atol=absolute)
    return np.all(same, axis=1) if same.ndim == 2 else same


def scale_of(answers: ArrayLike) -> float:
    """The size of the largest of some answers, and at least 1.

    The terms of a value near zero may be as large as those of the others, and so may
    be what rounding leaves of them.

    Examples
    --------
    >>> scale_of([0.0, -3e6]), scale_of([[0.25, 0.75]])
    (3000000.0, 1.0)
    """
    return float(np.abs(answers).max(initial=1.0))
