"""From request values to the numbers and codes that the kernels read."""

import struct
import sys
from collections.abc import Sequence
from operator import itemgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml_assets.core.column_arrays import ColumnArray
from ml_assets.core.expressions.expression import Expression
from ml_assets.core.expressions.grammar import ExpressionError
from ml_assets.records.plan import Signature
from ml_assets.serving.runtime.program import (
    CategorySource,
    Program,
    TablesError,
)
from ml_assets.serving.runtime.protocol import Refused

Floats = NDArray[np.float64]
Codes = NDArray[np.integer[Any]]

BYTE_CODES = 256


class Sources:
    """Reads the sources of a program out of request columns."""

    def __init__(self, signature: Signature, program: Program) -> None:
        self._numeric = program.numeric
        self._category = [
            (source.column, CodeTable(source)) for source in program.category
        ]
        try:
            self._expressions = [Expression.parse(t) for t in program.expressions]
        except ExpressionError as error:
            raise TablesError(str(error)) from error
        index = {item.name: i for i, item in enumerate(signature.columns)}
        _check(signature, program, self._expressions, index)
        names = {name: None for item in self._expressions for name in item.columns}
        kinds = [column.kind for column in signature.columns]
        # What the expressions read: name, request column, type of its array.
        self._reads = [
            (name, index[name], object if kinds[index[name]] == "string" else float)
            for name in names
        ]

    def numbers(self, columns: Sequence[Sequence[Any]]) -> list[Floats]:
        """One float64 array a numeric source, NaN for missing.

        Raises
        ------
        Refused
            If an integer is too large for a float.
        """
        try:
            derived = self._derive(columns)
            return [
                (
                    derived[source.derived or 0]
                    if source.column is None
                    else _floats(columns[source.column])
                )
                for source in self._numeric
            ]
        except OverflowError as error:
            raise Refused(f"a number is too large: {error}") from error

    def derived(self, values: Sequence[Any]) -> list[float]:
        """The derived columns of one row."""
        if not self._expressions:
            return []
        try:
            arrays = {
                name: np.array([values[index]], dtype=dtype)
                for name, index, dtype in self._reads
            }
        except OverflowError as error:
            raise Refused(f"a number is too large: {error}") from error
        return [item.evaluate(arrays).item() for item in self._expressions]

    def codes(self, columns: Sequence[Sequence[Any]]) -> list[Codes]:
        """One array of codes a category source."""
        return [table.codes(columns[column]) for column, table in self._category]

    def _derive(self, columns: Sequence[Sequence[Any]]) -> list[Floats]:
        if not self._expressions:
            return []
        arrays = {
            name: np.array(columns[index], dtype=dtype)
            for name, index, dtype in self._reads
        }
        return [expression.evaluate(arrays) for expression in self._expressions]


def _floats(values: Sequence[Any]) -> Floats:
    """`values` as float64, NaN for None.

    Raises
    ------
    OverflowError
        If an integer is too large for a float.
    """
    if isinstance(values, ColumnArray | np.ndarray):
        return np.asarray(values, np.float64)
    try:
        # A third of the time of numpy's own conversion, which takes what this does not.
        return np.frombuffer(struct.pack(f"{len(values)}d", *values))
    except struct.error:
        return np.array(values, dtype=np.float64)


class CodeTable(dict[Any, int]):
    """Category to code, with codes for a missing and for an unknown value.

    Parameters
    ----------
    source
        The categories.
    step
        What the codes are multiples of.

    Examples
    --------
    >>> table = CodeTable(CategorySource(column=0, categories=["a", "b"]))
    >>> table["b"], table[None], table["unknown"]
    (1, 2, 3)
    >>> table.codes(["b", "unknown", None]).tolist()
    [1, 3, 2]
    """

    def __init__(self, source: CategorySource, step: int = 1) -> None:
        # Keys that are the very objects of the requests are found the soonest.
        values = [
            sys.intern(value) if isinstance(value, str) else value
            for value in (*source.categories, None)
        ]
        super().__init__({value: code * step for code, value in enumerate(values)})
        self.unknown = len(values) * step
        self._known = dict(self)

    def __missing__(self, key: Any) -> int:
        return self.unknown

    def codes(self, values: Sequence[Any]) -> Codes:
        """The code of each value."""
        if isinstance(values, ColumnArray):
            return self._codes_of_distinct(values)
        if self.unknown >= BYTE_CODES:
            return np.fromiter(map(self.__getitem__, values), np.intp, len(values))
        try:
            # Half of the time of asking for each, and fails for an unknown one.
            found = itemgetter(*values)(self._known) if len(values) > 1 else ()
        except KeyError:
            found = ()
        found = found or map(self.__getitem__, values)
        return np.frombuffer(bytes(found), np.uint8)

    def _codes_of_distinct(self, values: ColumnArray) -> Codes:
        """The code of each value, which is asked for once a distinct value."""
        distinct, codes = values.coded()
        kind = np.uint8 if self.unknown < BYTE_CODES else np.intp
        found: Codes = np.fromiter(map(self.__getitem__, distinct), kind, len(distinct))
        return found.take(codes)


def _check(
    signature: Signature,
    program: Program,
    expressions: list[Expression],
    index: dict[str, int],
) -> None:
    width = len(signature.columns)
    used: list[int | None] = [source.column for source in program.category]
    for source in program.numeric:
        if (source.column is None) == (source.derived is None):
            raise TablesError("a numeric source must have either column or derived")
        if source.derived is not None:
            if not 0 <= source.derived < len(expressions):
                raise TablesError(f"there is no expression {source.derived}")
        used.append(source.column if source.column is not None else 0)
    if any(column is None or not 0 <= column < width for column in used):
        raise TablesError(f"a source names a column outside 0 to {width - 1}")
    for expression in expressions:
        for name in expression.columns:
            if name not in index:
                raise TablesError(f"an expression reads '{name}', which is no column")
    for category in program.category:
        if len(set(category.categories)) != len(category.categories):
            raise TablesError("a category stands twice in one source")
