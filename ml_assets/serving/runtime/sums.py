"""The leaves' values of an ensemble, added from the first tree to the last."""

import numpy as np
from numpy.typing import NDArray

from ml_assets.serving.runtime.program import Program

Floats = NDArray[np.float64]


class LeafSums:
    """Adds what the leaves of n rows hold, for each output of the program.

    Parameters
    ----------
    program
        Names the outputs, and whether a leaf holds a number for each of them.
    """

    def __init__(self, program: Program) -> None:
        self._outputs = program.outputs
        self._vectors = program.vectors

    def __call__(self, values: Floats) -> Floats:
        """The sums of shape (n_rows,), or (n_rows, n_outputs) where there are several.

        Parameters
        ----------
        values : ndarray of shape (n_trees, n_rows) or (n_trees, n_rows, n_outputs)
            In C order.
        """
        outputs, rows = self._outputs, values.shape[1]
        if outputs == 1:
            return add_in_order(values)
        if self._vectors:
            total = add_in_order(values.reshape(len(values), -1))
            return total.reshape(rows, outputs)
        # The sums of a class are neighbours in memory, as scikit-learn has them.
        return add_in_order(values.reshape(-1, outputs * rows)).reshape(outputs, rows).T


def add_in_order(values: Floats) -> Floats:
    """Sum over axis 0, from the first to the last, without pairing.

    Parameters
    ----------
    values : ndarray of shape (n_trees, n_rows), in C order
    """
    if values.shape[1] == 1:
        # numpy would take a single column for a vector and add it in pairs.
        last: Floats = np.add.accumulate(values, axis=0)[-1]
        return last
    total: Floats = np.add.reduce(values, axis=0)
    return total
