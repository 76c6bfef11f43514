"""A compiled version whose long requests a library process answers.

A thread of the server would share the interpreter and the processor's turns with the
event loop, and hold up the requests of all other models for milliseconds at a time.
"""

import threading
from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ml_assets.serving.library.remote import LibraryRuntime
from ml_assets.serving.runtime.protocol import Answer, Runtime


class DividedRuntime:
    """Answers short requests itself; see `Runtime` for the methods.

    Parameters
    ----------
    runtime
        The compiled version, in this process.
    rows
        The most rows of a request that are answered here.
    here_bytes
        A longer body is taken for one of more rows.
    remote
        Loads the same version in the library processes, with the first long request:
        most servers never get one, and need no process.
    """

    kind: Literal["compiled", "sklearn"] = "compiled"

    def __init__(
        self,
        runtime: Runtime,
        rows: int,
        here_bytes: int,
        remote: Callable[[], LibraryRuntime],
    ) -> None:
        self.signature = runtime.signature
        self.predict_one: Callable[[Sequence[Any]], Answer] = runtime.predict_one
        self._runtime = runtime
        self._rows = rows
        self.here_bytes = here_bytes
        self._load_remote = remote
        self._remote: LibraryRuntime | None = None
        self._lock = threading.Lock()

    def predict_many(self, columns: Sequence[Sequence[Any]]) -> NDArray[np.float64]:
        """The answer for each row."""
        if len(columns[0]) <= max(self._rows, 1):
            return self._runtime.predict_many(columns)
        return self.remote().predict_many(columns)

    def remote(self) -> LibraryRuntime:
        """The version in the processes."""
        with self._lock:
            if self._remote is None:
                self._remote = self._load_remote()
        return self._remote
