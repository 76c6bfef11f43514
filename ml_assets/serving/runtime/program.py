"""The compiled form of a pipeline: a small program, its tables and its link."""

import copy
import io
import zipfile
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

Kernel = Literal["masks", "walk", "linear", "average", "sigmoid", "isotonic", "stack"]
LinkName = Literal[
    "logit",
    "mean",
    "softmax",
    "shares",
    "identity",
    "exp",
    # XGBoost's, in float32.
    "logit_single",
    "softmax_single",
    "exp_single",
    # CatBoost's on x86.
    "softmax_by_table",
    "logits",
    "exp_by_table",
    # LightGBM's, and CatBoost's elsewhere.
    "softmax_by_libm",
    "exp_by_libm",
    # Of scikit-learn's GradientBoostingClassifier.
    "softmax_by_rows",
]
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

    ``outputs`` is how many sums a row has: one, or one a class. A leaf of a tree holds
    one number, and the trees belong to the outputs in turn, or it holds a number for
    each output where ``vectors`` is set.

    ``link`` turns the sums into the answer, as `ml_assets.serving.runtime.links` has
    it: ``mean`` divides by ``count``, a logistic one multiplies with ``slope`` before
    it, and ``complement`` comes after it where the positive class is the estimator's
    first. ``order`` names for each class of the signature the output that is its own;
    empty where they are in the same order.

    Of an estimator made of others, ``kernel`` is how the answers of its ``parts``
    become one, and the parts' tables bear their numbers; ``link`` is ``identity``.
    ``final`` is the last model of a ``stack``, whose request columns are the outputs of
    the parts and then the request's.
    """

    kernel: Kernel
    expressions: list[str]
    numeric: list[NumericSource]
    category: list[CategorySource]
    link: LinkName
    count: int = 1
    complement: bool = False
    slope: float = 1.0
    outputs: int = 1
    vectors: bool = False
    order: list[int] = []
    parts: list["Program"] = []
    final: "Program | None" = None


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

    def part(self, prefix: str) -> "Tables":
        """Those whose names begin with ``prefix.``, without it."""
        found = copy.copy(self)
        found._arrays = {
            name.removeprefix(f"{prefix}."): array
            for name, array in self._arrays.items()
            if name.startswith(f"{prefix}.")
        }
        return found

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
