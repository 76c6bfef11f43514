"""The estimator's input matrix, for the kernels that need one."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml_assets.serving.runtime.masks import refusal
from ml_assets.serving.runtime.program import Program, Tables, check
from ml_assets.serving.runtime.protocol import Refused
from ml_assets.serving.runtime.sources import Floats, Sources


class Matrix:
    """Builds rows of features: first the numeric ones, then those of each category.

    Attributes
    ----------
    width : int
        Number of columns.
    """

    def __init__(self, program: Program, sources: Sources, tables: Tables) -> None:
        self._sources = sources
        self._limits = tables.take("limits", "f8", 2)
        self._takes_missing = tables.take("takes_missing", "b1", 1)
        self._numeric = tables.take("numeric", "i8", 1)
        self._scaling = tables.take("scaling", "f8", 2)
        numbers = len(program.numeric)
        check(self._limits.shape == (numbers, 2), "limits is not one row a source")
        check(len(self._takes_missing) == numbers, "takes_missing is not one a source")
        check(
            self._scaling.shape == (len(self._numeric), 3),
            "scaling is not one row a numeric feature",
        )
        inside = (self._numeric >= 0) & (self._numeric < max(numbers, 1))
        check(bool(inside.all()), "numeric names a source that there is not")
        self._blocks = []
        self._refused = []
        for index, source in enumerate(program.category):
            block = tables.take(f"category_{index}", "f8", 2)
            refused = tables.take(f"refused_{index}", "b1", 1)
            codes = len(source.categories) + 2
            check(len(block) == codes, f"category_{index} is not one row a code")
            check(len(refused) == codes, f"refused_{index} is not one a code")
            self._blocks.append(block)
            self._refused.append(refused)
        self.width = len(self._numeric) + sum(b.shape[1] for b in self._blocks)

    def build(self, columns: Sequence[Sequence[Any]], dtype: Any) -> NDArray[Any]:
        """The matrix of shape (n_rows, width) for request columns.

        Raises
        ------
        Refused
            If the estimator cannot take a value.
        """
        numbers = self._sources.numbers(columns)
        codes = self._sources.codes(columns)
        found = np.empty((len(columns[0]), self.width), dtype=dtype)
        for source, values in enumerate(numbers):
            self._guard(source, values)
        with np.errstate(over="ignore"):
            # What float32 does not hold is infinite, where the estimator takes that.
            for position, source in enumerate(self._numeric):
                found[:, position] = self._scale(position, numbers[source])
        position = len(self._numeric)
        for block, refused, item in zip(self._blocks, self._refused, codes):
            _raise_at(refused[item])
            found[:, position : position + block.shape[1]] = block.take(item, axis=0)
            position += block.shape[1]
        return found

    def _guard(self, source: int, values: Floats) -> None:
        low, high = self._limits[source]
        bad = (values <= low) | (values > high)
        if not self._takes_missing[source]:
            bad |= np.isnan(values)
        _raise_at(bad)

    def _scale(self, position: int, values: Floats) -> Floats:
        fill, mean, scale = self._scaling[position]
        if fill == fill:
            values = np.where(np.isnan(values), fill, values)
        scaled: Floats = (values - mean) / scale
        return scaled


def _raise_at(bad: NDArray[np.bool_]) -> None:
    if bad.any():
        raise Refused(refusal(int(np.argmax(bad))))
