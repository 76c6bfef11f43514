"""Predictions as drift watches them: numbers, and the classes that were decided on."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ml_assets.records.plan import HALF

PROBABILITY, CONFIDENCE, VALUE = "probability", "confidence", "predicted value"


class Predictions(NamedTuple):
    """What was predicted for some rows.

    Parameters
    ----------
    name : str
        What the numbers are: the probability of the positive class, that of the most
        probable one, or the value.
    values : ndarray of shape (n_rows,)
    labels : sequence of str, optional
        The class that was decided on, where there are more than two.
    threshold : float
        The probability above which a row is decided to be positive.
    """

    name: str
    values: NDArray[np.float64]
    labels: Sequence[str] | None = None
    threshold: float = HALF

    @classmethod
    def of(cls, found: "Predictions | ArrayLike") -> "Predictions":
        """`found`, or those probabilities of the positive class."""
        if isinstance(found, Predictions):
            return found
        return cls(PROBABILITY, np.asarray(found, dtype=np.float64))

    @property
    def positives(self) -> int | None:
        """Rows of the positive class; None where there is no such class."""
        if self.name != PROBABILITY:
            return None
        return int((self.values > self.threshold).sum())

    def take(self, rows: NDArray[Any]) -> "Predictions":
        """Those of some of the rows, by their positions."""
        labels = None if self.labels is None else [self.labels[row] for row in rows]
        return self._replace(values=self.values[rows], labels=labels)
