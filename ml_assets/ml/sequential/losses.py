"""What an answer costs: a loss of each labelled row, scaled to 0 to 1 by its bound."""

from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import ArrayLike, NDArray


class Scale(msgspec.Struct, frozen=True):
    """Name and bound of a loss: how its scaled values are written in its own unit.

    Parameters
    ----------
    name : str
        Such as ``cost``; it follows "mean" in a sentence.
    bound : float
        The loss, in its own unit, that is scaled to 1.
    clipped : bool
        Whether losses above `bound` occur, and count as `bound`.
    """

    name: str
    bound: float = 1.0
    clipped: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.bound < np.inf:
            raise ValueError(
                f"the bound of {self.name} must be above 0 and finite,"
                f" found {self.bound}"
            )

    @property
    def title(self) -> str:
        """The name, and where losses are clipped.

        Examples
        --------
        >>> Scale("absolute error", 12.3, clipped=True).title
        'absolute error clipped at 12.3'
        """
        return f"{self.name} clipped at {self.bound:g}" if self.clipped else self.name

    def describe(self, difference: float, low: float, high: float) -> str:
        """A difference of scaled mean losses, with its limits, in words.

        Examples
        --------
        >>> Scale("cost", 400).describe(-0.01, -0.0175, -0.0025)
        "mean cost is -4 against the champion's, between -7 and -1"
        """
        shown = [f"{value * self.bound:+.4g}" for value in (difference, low, high)]
        return (
            f"mean {self.title} is {shown[0]} against the champion's, between"
            f" {shown[1]} and {shown[2]}"
        )


class Loss(NamedTuple):
    """The loss that an experiment compares.

    Parameters
    ----------
    scale : Scale
    values : callable
        Takes a table of answered and labelled rows (``label`` and ``p`` of the answer,
        ``truth``, and whatever else the prediction log has) and gives the loss of each
        row, in the unit of the bound.
    is_binary : bool
        Whether each loss is 0 or the bound: then counts are all that is kept.
    columns : tuple of str
        What `values` reads of the prediction log beside the columns of answers.

    Examples
    --------
    >>> loss = Loss(Scale("cost", 400, clipped=True), lambda rows: rows["amount"])
    >>> loss.of({"amount": [0, 100, 4_000]})
    array([0.  , 0.25, 1.  ])
    """

    scale: Scale
    values: Callable[[Any], ArrayLike]
    is_binary: bool = False
    columns: tuple[str, ...] = ()

    def of(self, rows: Any) -> NDArray[np.float64]:
        """Losses of `rows`, scaled to 0 to 1, of shape (n,).

        Raises
        ------
        ValueError
            If a loss is no number, is negative, or is above the bound of a loss that is
            not clipped.
        """
        name, bound = self.scale.name, self.scale.bound
        given = np.atleast_1d(np.asarray(self.values(rows), dtype=np.float64))
        most = np.inf if self.scale.clipped else bound
        wrong = ~((given >= 0) & (given <= most))
        if wrong.any():
            at = int(np.argmax(wrong))
            limit = "0 or more" if self.scale.clipped else f"from 0 to {bound:g}"
            raise ValueError(f"{name} of row {at} must be {limit}, found {given[at]:g}")
        return np.minimum(given / bound, 1.0)


def _is_wrong(rows: Any) -> NDArray[np.float64]:
    return np.asarray(rows["label"] != rows["truth"], dtype=np.float64)


# The loss of classification without costs: 1 where the answer is not the truth.
ERROR = Loss(Scale("error"), _is_wrong, is_binary=True)


def as_losses(name: str, values: ArrayLike) -> NDArray[np.float64]:
    """`values` as losses of shape (n,); one value counts as n = 1.

    Raises
    ------
    ValueError
        If a value is no number from 0 to 1.
    """
    given = np.atleast_1d(np.asarray(values, dtype=np.float64))
    wrong = ~((given >= 0) & (given <= 1))
    if wrong.any():
        at = int(np.argmax(wrong))
        raise ValueError(
            f"{name} must be scaled to 0 to 1, found {given[at]:g} at position {at}"
        )
    return given
