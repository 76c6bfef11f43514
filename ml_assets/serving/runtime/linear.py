"""Linear models: one product a number, one look-up a category."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ml_assets.serving.runtime.links import link_of
from ml_assets.serving.runtime.matrix import Matrix
from ml_assets.serving.runtime.program import Program, Tables, check
from ml_assets.serving.runtime.protocol import Refused
from ml_assets.serving.runtime.sources import CodeTable, Floats, Sources


class LinearKernel:
    """Answers rows for models of the form link(intercept + coefficients . x).

    Where there are several outputs, ``coefficients`` has a column for each.
    """

    def __init__(self, program: Program, sources: Sources, tables: Tables) -> None:
        self._sources = sources
        self._link = link_of(program)
        self._outputs = outputs = program.outputs
        self._matrix = Matrix(program, sources, tables)
        dimensions = 1 if outputs == 1 else 2
        self._coefficients = tables.take("coefficients", "f8", dimensions, finite=True)
        self._intercept = tables.take("intercept", "f8", 1, finite=True)
        check(len(self._intercept) == outputs, f"intercept is not {outputs} numbers")
        shape = (self._matrix.width, outputs)[:dimensions]
        check(self._coefficients.shape == shape, f"coefficients is not {shape} numbers")
        if outputs == 1:
            self._start = float(self._intercept[0])
            self._prepare(program, tables)

    def _prepare(self, program: Program, tables: Tables) -> None:
        """The same as tuples of Python numbers, for a single row."""
        limits = tables.take("limits", "f8", 2).tolist()
        scaling = tables.take("scaling", "f8", 2).tolist()
        numeric = tables.take("numeric", "i8", 1).tolist()
        coefficients = self._coefficients.tolist()
        self._terms = [
            (
                program.numeric[source].column,
                program.numeric[source].derived,
                *limits[source],
                *scaling[position],
                coefficients[position],
            )
            for position, source in enumerate(numeric)
        ]
        self._lookups = []
        start = len(numeric)
        for index, source in enumerate(program.category):
            block = tables.take(f"category_{index}", "f8", 2)
            part = self._coefficients[start : start + block.shape[1]]
            amounts = block @ part
            amounts[tables.take(f"refused_{index}", "b1", 1)] = np.nan
            self._lookups.append((source.column, CodeTable(source), amounts.tolist()))
            start += block.shape[1]

    def one(self, values: Sequence[Any]) -> Any:
        """The answer for one row of request values."""
        if self._outputs > 1:
            return self.many([[value] for value in values])[0]
        total = self._start
        derived = self._sources.derived(values)
        for column, index, low, high, fill, mean, scale, coefficient in self._terms:
            value = values[column] if column is not None else derived[index]
            number = fill if value is None or value != value else float(value)
            if number <= low or number > high:
                return self._refuse(values)
            total += coefficient * ((number - mean) / scale)
        for column, codes, amounts in self._lookups:
            total += amounts[codes[values[column]]]
        if total != total:
            return self._refuse(values)
        return self._link.one(total)

    def _refuse(self, values: Sequence[Any]) -> Any:
        """Have `many` raise the error that names what is wrong."""
        found = float(self.many([[value] for value in values])[0])
        if found != found:
            raise Refused("the numbers of the row add up to no number")
        return found

    def many(self, columns: Sequence[Sequence[Any]]) -> Floats:
        """The answers for request columns."""
        matrix = self._matrix.build(columns, np.float64)
        with np.errstate(all="ignore"):
            totals = matrix @ self._coefficients
        return self._link.many(totals + self._intercept)
