"""The tolerance within which two answers to one row count as the same.

A dot product is added up in another order for one row than for a batch, by another
BLAS, or on another processor, and `exp` may differ by an ulp between two processors.
The compiler, packaging, the loader and the check of a pipeline before fitting use it.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

RELATIVE = 1e-10
# Of a probability next to zero, whose relative error grows with its logit.
ABSOLUTE = 1e-12


def is_close(found: ArrayLike, expected: ArrayLike) -> NDArray[np.bool_]:
    """For each answer whether it is the one expected.

    Examples
    --------
    >>> is_close([0.25, 0.25, float("nan")], [0.25 + 1e-16, 0.2501, 0.25]).tolist()
    [True, False, False]
    """
    same: NDArray[np.bool_] = np.isclose(found, expected, rtol=RELATIVE, atol=ABSOLUTE)
    return same
