"""The compiled runtime: numpy alone, answers equal to scikit-learn's."""

from collections.abc import Sequence
from math import isfinite
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from ml_assets.records.plan import Column, Signature
from ml_assets.serving.runtime.composed import COMBINATIONS, Kernel, Stack
from ml_assets.serving.runtime.linear import LinearKernel
from ml_assets.serving.runtime.links import LINKS
from ml_assets.serving.runtime.masks import MaskKernel
from ml_assets.serving.runtime.program import Program, Tables, TablesError, check
from ml_assets.serving.runtime.protocol import NOT_FINITE, Answer, Refused, finite
from ml_assets.serving.runtime.sources import Sources
from ml_assets.serving.runtime.walk import WalkKernel


class CompiledRuntime:
    """Answers from flat tables; see `Runtime` for the methods."""

    kind: Literal["compiled", "sklearn"] = "compiled"

    def __init__(self, signature: Signature, kernel: Kernel) -> None:
        self.signature = signature
        self._kernel = kernel

    def predict_one(self, values: Sequence[Any]) -> Answer:
        """The answer for one row."""
        try:
            return self._kernel.one(values)
        except OverflowError as error:
            raise Refused(f"a number is too large: {error}") from error

    def predict_many(self, columns: Sequence[Sequence[Any]]) -> NDArray[np.float64]:
        """The answer for each row."""
        if not len(columns[0]):
            classes = len(self.signature.classes)
            return np.empty((0, classes) if classes else 0)
        return self._kernel.many(columns)


class CompiledValues(CompiledRuntime):
    """Answers of a regression, which must be finite."""

    def predict_one(self, values: Sequence[Any]) -> Answer:
        """The value for one row."""
        found = super().predict_one(values)
        if not isfinite(found):
            raise Refused(NOT_FINITE)
        return found

    def predict_many(self, columns: Sequence[Sequence[Any]]) -> NDArray[np.float64]:
        """The value for each row."""
        return finite(super().predict_many(columns))


def load_tables(signature: Signature, program: Program, data: bytes) -> CompiledRuntime:
    """A runtime from the two files of a compiled pipeline.

    Parameters
    ----------
    signature : Signature
        The request schema.
    program : Program
        Content of ``runtime.json``.
    data : bytes
        Content of ``runtime.npz``.

    Raises
    ------
    TablesError
        If the tables do not fit the program or each other.
    """
    _check_answer(signature, program)
    kind = CompiledValues if signature.task == "regression" else CompiledRuntime
    return kind(signature, _kernel(signature, program, Tables(data)))


_KERNELS: dict[str, type[MaskKernel | WalkKernel | LinearKernel]] = {
    "masks": MaskKernel,
    "walk": WalkKernel,
    "linear": LinearKernel,
}


def _kernel(signature: Signature, program: Program, tables: Tables) -> Kernel:
    """The kernel of a program, those of its parts first."""
    sources = Sources(signature, program)
    if program.kernel in _KERNELS:
        return _KERNELS[program.kernel](program, sources, tables)
    parts = [
        _kernel(signature, part, tables.part(f"part_{number}"))
        for number, part in enumerate(program.parts)
    ]
    if program.kernel != "stack":
        return COMBINATIONS[program.kernel](program, tables, parts)
    if program.final is None:
        raise TablesError("a stack has no final model")
    check(program.final.outputs == program.outputs, "the final model has other outputs")
    width = sum(part.outputs for part in program.parts)
    added = tuple(Column(name=f"part {n}", kind="number") for n in range(width))
    extended = msgspec.structs.replace(signature, columns=added + signature.columns)
    final = _kernel(extended, program.final, tables.part("final"))
    return Stack(program, tables, parts, final)


def _check_answer(signature: Signature, program: Program) -> None:
    """Check that the program gives what the task's answers are."""
    task, outputs = signature.task, len(signature.classes) or 1
    check(
        program.outputs == outputs,
        f"the program has {program.outputs} outputs, expected {outputs}",
    )
    links = LINKS[task] if program.kernel in _KERNELS else ("identity",)
    check(
        program.link in links,
        f"the link is {program.link}, expected {' or '.join(links)} for {task}",
    )
