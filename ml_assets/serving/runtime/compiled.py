"""The compiled runtime: numpy alone, answers equal to scikit-learn's."""

from collections.abc import Sequence
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from ml_assets.records.plan import Signature
from ml_assets.serving.runtime.linear import LinearKernel
from ml_assets.serving.runtime.masks import MaskKernel
from ml_assets.serving.runtime.program import Program, Tables
from ml_assets.serving.runtime.protocol import Refused
from ml_assets.serving.runtime.sources import Sources
from ml_assets.serving.runtime.walk import WalkKernel


class _Kernel(Protocol):
    def one(self, values: Sequence[Any]) -> float: ...

    def many(self, columns: Sequence[Sequence[Any]]) -> NDArray[np.float64]: ...


class CompiledRuntime:
    """Answers from flat tables; see `Runtime` for the methods."""

    kind: Literal["compiled", "sklearn"] = "compiled"

    def __init__(self, signature: Signature, kernel: _Kernel) -> None:
        self.signature = signature
        self._kernel = kernel

    def predict_one(self, values: Sequence[Any]) -> float:
        """Probability of the positive class for one row."""
        try:
            return self._kernel.one(values)
        except OverflowError as error:
            raise Refused(f"a number is too large: {error}") from error

    def predict_many(self, columns: Sequence[Sequence[Any]]) -> NDArray[np.float64]:
        """Probability of the positive class for each row."""
        if not len(columns[0]):
            return np.empty(0)
        return self._kernel.many(columns)


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
    sources = Sources(signature, program)
    tables = Tables(data)
    kernels: dict[str, type[MaskKernel | WalkKernel | LinearKernel]] = {
        "masks": MaskKernel,
        "walk": WalkKernel,
        "linear": LinearKernel,
    }
    return CompiledRuntime(signature, kernels[program.kernel](program, sources, tables))
