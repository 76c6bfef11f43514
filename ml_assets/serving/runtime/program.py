"""The compiled form of a pipeline: a small program, its tables and its link."""

import io
import zipfile
from math import exp
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

Kernel = Literal["masks", "walk", "linear"]
Floats = NDArray[np.float64]


class TablesError(ValueError):
    """Tables that do not fit their program, so that no lookup in them would be safe."""


class NumericSource(msgspec.Struct, frozen=True, kw_only=True):
    """A column used as a number: ``column`` of the request, or ``derived``.

    Exactly one of the two is not None; each is an index.
    """

    column: int | None = None
    derived: int | None = None


class CategorySource(msgspec.Struct, frozen=True, kw_only=True):
    """A request column used as a category.

    Category k has code k, a missing value the code after the last, and an unknown value
    the one after that.
    """

    column: int
    categories: list[float | int | bool | str]


class Program(msgspec.Struct, frozen=True, kw_only=True):
    """How to answer: expressions, sources, and which kernel reads the tables.

    ``link`` turns the sum of an ensemble into a probability: ``logit`` is the logistic
    function, ``mean`` divides by ``count``, ``complement`` comes after it where the
    positive class is the estimator's first.
    """

    kernel: Kernel
    expressions: list[str]
    numeric: list[NumericSource]
    category: list[CategorySource]
    link: Literal["logit", "mean"]
    count: int = 1
    complement: bool = False


class Tables:
    """The members of ``runtime.npz``, each checked when it is read."""

    def __init__(self, data: bytes) -> None:
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as archive:
                self._arrays = {name: archive[name] for name in archive.files}
        except (
            ValueError,
            TypeError,
            OSError,
            EOFError,
            MemoryError,
            zipfile.BadZipFile,
        ) as error:
            raise TablesError(f"not a readable set of tables: {error}") from error

    def take(
        self, name: str, dtypes: str, dimensions: int, finite: bool = False
    ) -> NDArray[Any]:
        """The array `name`, of one of the `dtypes` such as ``"i4 i8"``.

        Raises
        ------
        TablesError
            If there is none, or it is of another type or number of dimensions.
        """
        if name not in self._arrays:
            raise TablesError(f"there is no table '{name}'")
        array = self._arrays[name]
        if array.dtype.str[1:] not in dtypes.split() or array.ndim != dimensions:
            raise TablesError(
                f"the table '{name}' is {array.dtype} of {array.ndim} dimensions,"
                f" expected {dtypes} of {dimensions}"
            )
        if finite and not np.isfinite(array).all():
            raise TablesError(f"the table '{name}' holds a value that is not finite")
        contiguous: NDArray[Any] = np.ascontiguousarray(array)
        return contiguous


def check(condition: bool, problem: str) -> None:
    """Raise `TablesError` with `problem` unless the condition holds."""
    if not condition:
        raise TablesError(problem)


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
    """From the sum of an ensemble to a probability, bit for bit as in scikit-learn."""

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
