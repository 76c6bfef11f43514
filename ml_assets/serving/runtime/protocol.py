"""The interface between the model server and whatever computes its answers."""

from collections.abc import Sequence
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ml_assets.records.plan import Signature

# A float, or of a multiclass version an ndarray of float64 of shape (k,).
Answer: TypeAlias = Any
NOT_FINITE = "the value that the model gives is not finite"


class Refused(ValueError):
    """A row that fits the signature and that the estimator still cannot take.

    A random forest works in float32, for example, and takes no value above 3.4e38.
    """


class Runtime(Protocol):
    """A loaded version.

    Values are float, int, bool, str or None, already checked against the signature and
    in the order of its columns. Both methods may be called from several threads.

    Attributes
    ----------
    kind : str
        ``compiled`` or ``sklearn``.
    signature : Signature
        The request schema.
    """

    kind: Literal["compiled", "sklearn"]
    signature: Signature

    def predict_one(self, values: Sequence[Any]) -> Answer:
        """The answer for one row: a float, or an ndarray of shape (k,) for k classes.

        Parameters
        ----------
        values : sequence
            One value a column.

        Raises
        ------
        Refused
            If the estimator cannot take the row.
        """
        ...

    def predict_many(self, columns: Sequence[Sequence[Any]]) -> NDArray[np.float64]:
        """The answer for each of n rows, as the signature's task has it.

        Parameters
        ----------
        columns : sequence of sequences
            One sequence of n values a column.

        Returns
        -------
        ndarray of float64, shape (n,) or (n, k)
            Probability of the positive class, of each of k classes, or the value.

        Raises
        ------
        Refused
            If the estimator cannot take one of the rows.
        """
        ...


def finite(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """`values`, or `Refused` where one is not finite: the row was beyond the model."""
    is_finite = np.isfinite(values)
    if not is_finite.all():
        raise Refused(f"row {int(np.argmin(is_finite))}: {NOT_FINITE}")
    return values
