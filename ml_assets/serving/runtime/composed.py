"""Estimators made of others: the parts answer, and their answers become one.

Each combination is the operations of scikit-learn in its order, on arrays of the same
layout, so that no bit differs where none differs in the parts.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ml_assets.serving.runtime.links import logistics
from ml_assets.serving.runtime.program import Program, Tables, check
from ml_assets.serving.runtime.sums import add_in_order

Floats = NDArray[np.float64]

# How far above one scikit-learn takes a calibrated probability for one.
ROUNDING = 1e-5


class Kernel(Protocol):
    """Answers rows of request values."""

    def one(self, values: Sequence[Any]) -> Any:
        """The answer for one row."""
        ...

    def many(self, columns: Sequence[Sequence[Any]]) -> Floats:
        """The answers for request columns."""
        ...


class _Combined:
    """The answers of all parts, from which a subclass makes those of the whole."""

    def __init__(self, program: Program, tables: Tables, parts: list[Kernel]) -> None:
        self._parts = parts
        self._outputs = program.outputs
        self._order = program.order or None
        check(bool(parts), "there is no part")
        outputs = [*range(program.outputs)]
        check(sorted(program.order or outputs) == outputs, "order is no permutation")

    def one(self, values: Sequence[Any]) -> Any:
        answers = [np.array([part.one(values)]) for part in self._parts]
        found = self._answer(answers, [[value] for value in values])[0]
        return float(found) if self._outputs == 1 else found

    def many(self, columns: Sequence[Sequence[Any]]) -> Floats:
        return self._answer([part.many(columns) for part in self._parts], columns)

    def _answer(
        self, answers: list[Floats], columns: Sequence[Sequence[Any]]
    ) -> Floats:
        found = self._combine(answers, columns)
        return found if self._order is None else found[:, self._order]

    def _combine(
        self, answers: list[Floats], columns: Sequence[Sequence[Any]]
    ) -> Floats:
        raise NotImplementedError


class Average(_Combined):
    """The weighted mean of the parts, in float32 where all of them are."""

    def __init__(self, program: Program, tables: Tables, parts: list[Kernel]) -> None:
        super().__init__(program, tables, parts)
        self._weights = tables.take("weights", "f4 f8", 1, finite=True)
        self._whole = tables.take("whole", "f4 f8", 1, finite=True)
        check(len(self._weights) == len(parts), "weights is not one number a part")
        check(self._whole.shape == (1,), "whole is not one number")
        check(bool(self._whole[0] != 0), "the weights add up to zero")
        check(
            all(part.outputs == program.outputs for part in program.parts),
            "a part has another number of outputs",
        )

    def _combine(
        self, answers: list[Floats], columns: Sequence[Sequence[Any]]
    ) -> Floats:
        given = np.stack(answers).astype(self._weights.dtype)
        weighted = given.reshape(len(given), -1) * self._weights.reshape(-1, 1)
        total = add_in_order(weighted) / self._whole
        found: Floats = total.astype(np.float64).reshape(given.shape[1:])
        return found


class _Calibrated(_Combined):
    """A probability for each score of one part, of several classes as parts of one."""

    def __init__(self, program: Program, tables: Tables, parts: list[Kernel]) -> None:
        super().__init__(program, tables, parts)
        self._is_complement = program.complement
        check(len(parts) == 1, f"there are {len(parts)} parts, expected 1")
        check(
            program.parts[0].outputs == program.outputs,
            "the part has another number of outputs",
        )

    def _calibrated(self, scores: Floats, output: int) -> Floats:
        raise NotImplementedError

    def _combine(
        self, answers: list[Floats], columns: Sequence[Sequence[Any]]
    ) -> Floats:
        [scores] = answers
        if self._outputs == 1:
            found = self._calibrated(scores, 0)
            if self._is_complement:
                found = 1.0 - found
        else:
            found = np.empty(scores.shape)
            for output in range(self._outputs):
                found[:, output] = self._calibrated(scores[:, output], output)
            whole = np.sum(found, axis=1)[:, np.newaxis]
            alike = np.full_like(found, 1 / self._outputs)
            found = np.divide(found, whole, out=alike, where=whole != 0)
        found[(found > 1.0) & (found <= 1.0 + ROUNDING)] = 1.0
        return found


class Sigmoid(_Calibrated):
    """Calibrated by a logistic function of each score (Platt, 1999)."""

    def __init__(self, program: Program, tables: Tables, parts: list[Kernel]) -> None:
        super().__init__(program, tables, parts)
        self._lines = tables.take("lines", "f8", 2, finite=True)
        shape = (program.outputs, 2)
        check(self._lines.shape == shape, f"lines is not {shape} numbers")

    def _calibrated(self, scores: Floats, output: int) -> Floats:
        slope, intercept = self._lines[output]
        return logistics(-(slope * scores + intercept))


class Isotonic(_Calibrated):
    """Calibrated between steps that never go down (Zadrozny and Elkan, 2002)."""

    def __init__(self, program: Program, tables: Tables, parts: list[Kernel]) -> None:
        super().__init__(program, tables, parts)
        steps = tables.take("steps", "f8", 2, finite=True)
        counts = tables.take("step_counts", "i8", 1)
        check(steps.shape[1] == 2, "steps is not two numbers a step")
        check(len(counts) == program.outputs, "step_counts is not one an output")
        check(bool((counts > 0).all()), "an output has no step")
        check(int(counts.sum()) == len(steps), "step_counts does not add up to steps")
        self._steps = np.split(steps, np.cumsum(counts)[:-1])
        rises = [np.diff(part[:, 0]) > 0 for part in self._steps]
        check(all(rise.all() for rise in rises), "steps are not in their order")

    def _calibrated(self, scores: Floats, output: int) -> Floats:
        steps = self._steps[output]
        found: Floats = np.interp(scores, steps[:, 0], steps[:, 1])
        return found


class Stack(_Combined):
    """A last model that takes the parts' answers for columns before the request's."""

    def __init__(
        self, program: Program, tables: Tables, parts: list[Kernel], final: Kernel
    ) -> None:
        super().__init__(program, tables, parts)
        self._final = final

    def one(self, values: Sequence[Any]) -> Any:
        answers = [np.ravel(part.one(values)).tolist() for part in self._parts]
        found = self._final.one([*sum(answers, []), *values])
        return found if self._order is None else found[self._order]

    def _combine(
        self, answers: list[Floats], columns: Sequence[Sequence[Any]]
    ) -> Floats:
        given = np.column_stack(answers)
        return self._final.many([*np.ascontiguousarray(given.T), *columns])


COMBINATIONS: dict[str, type[Average | Sigmoid | Isotonic]] = {
    "average": Average,
    "sigmoid": Sigmoid,
    "isotonic": Isotonic,
}
