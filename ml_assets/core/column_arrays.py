"""Columns of many rows as arrays, which are sequences of their values all the same."""

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.integer[Any]]


class ColumnArray(Sequence[Any]):
    """The values of one column, None for missing, without an object for each.

    `numpy.asarray` gives them as an array, in which a missing number is NaN.
    """

    @abstractmethod
    def tolist(self) -> list[Any]:
        """The values as Python objects."""

    @abstractmethod
    def coded(self) -> tuple[Sequence[Any], Codes]:
        """Distinct values, and for each row the position of its own."""

    @abstractmethod
    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """The values, None or NaN for missing ones."""

    def __iter__(self) -> Iterator[Any]:
        return iter(self.tolist())


class NumberColumn(ColumnArray):
    """Numbers.

    Parameters
    ----------
    values : ndarray of float64, shape (n,)
        NaN for missing.
    whole : ndarray of int64, shape (n,), optional
        The same where they are integers, some of which no float64 holds exactly; a
        missing one is any.

    Examples
    --------
    >>> list(NumberColumn(np.array([1.5, np.nan])))
    [1.5, None]
    >>> list(NumberColumn(np.array([2.0**53]), np.array([2**53 + 1])))
    [9007199254740993]
    """

    def __init__(
        self, values: NDArray[np.float64], whole: NDArray[np.int64] | None = None
    ) -> None:
        self._values = values
        self._given: NDArray[Any] = values if whole is None else whole

    def __len__(self) -> int:
        return len(self._values)

    def __getitem__(self, at: Any) -> Any:
        value = self._values[at]
        return None if value != value else self._given[at].item()

    def tolist(self) -> list[Any]:
        """Floats, or integers, and None."""
        found: list[Any] = self._given.tolist()
        for row in np.flatnonzero(np.isnan(self._values)).tolist():
            found[row] = None
        return found

    def coded(self) -> tuple[Sequence[Any], Codes]:
        """The distinct numbers and None, and the position of each row's."""
        distinct, codes = np.unique(self._given, return_inverse=True)
        codes[np.isnan(self._values)] = len(distinct)
        return [*distinct.tolist(), None], codes

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return self._values.astype(dtype or np.float64, copy=bool(copy))


class CodedColumn(ColumnArray):
    """Few values that many rows share.

    Parameters
    ----------
    values : sequence
        The distinct values; None is the missing one.
    codes : ndarray of integers, shape (n,)
        For each row the position of its value.

    Examples
    --------
    >>> column = CodedColumn(["Female", None], np.array([1, 0]))
    >>> list(column), len(column), column[1]
    ([None, 'Female'], 2, 'Female')
    >>> np.asarray(CodedColumn([True, None], np.array([0, 1])), np.float64).tolist()
    [1.0, nan]
    """

    def __init__(self, values: Sequence[Any], codes: Codes) -> None:
        self._distinct = values
        self._codes = codes

    def __len__(self) -> int:
        return len(self._codes)

    def __getitem__(self, at: Any) -> Any:
        return self._distinct[self._codes[at]]

    def tolist(self) -> list[Any]:
        """The value of each row."""
        return [*map(self._distinct.__getitem__, self._codes.tolist())]

    def coded(self) -> tuple[Sequence[Any], Codes]:
        """As given."""
        return self._distinct, self._codes

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        found: NDArray[Any] = np.array(self._distinct, dtype or object)[self._codes]
        return found
