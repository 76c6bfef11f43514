"""Reading the arrays of a compiled bundle, none of which may be a surprise."""

import io
import zipfile
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml_assets.serving.runtime.program import TablesError


class Tables:
    """The members of ``runtime.npz``, each checked when it is taken out."""

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
