"""The interface between the model server and whatever computes its answers."""

from collections.abc import Sequence
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from ml_assets.records.plan import Signature


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

    def predict_one(self, values: Sequence[Any]) -> float:
        """Probability of the positive class for one row.

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
        """Probability of the positive class for each of n rows.

        Parameters
        ----------
        columns : sequence of sequences
            One sequence of n values a column.

        Returns
        -------
        ndarray of float64, shape (n,)

        Raises
        ------
        Refused
            If the estimator cannot take one of the rows.
        """
        ...
