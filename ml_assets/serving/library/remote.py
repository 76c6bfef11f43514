"""A version that a library process answers for, as the server has it."""

from collections.abc import Mapping, Sequence
from logging import ERROR
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ml_assets.core.digests import BundleError
from ml_assets.serving.library.fair_queue import Flow
from ml_assets.serving.library.messages import (
    Answered,
    Cells,
    Failed,
    Predict,
    Refusal,
    Reply,
    Serve,
    Served,
    TooLong,
    packed,
    turns,
)
from ml_assets.serving.library.pool import LibraryPool
from ml_assets.serving.logs import log
from ml_assets.serving.models.bundle import load_signature
from ml_assets.serving.runtime.protocol import Answer, Refused

# A long request gives the process back so often, for those of other models.
_TURN_SECONDS = 0.1


class LibraryError(Exception):
    """What a version raised in its process; the subclass has the error's own name."""


class LibraryRuntime:
    """Answers by a library process; see `Runtime` for the methods.

    Parameters
    ----------
    pool
        The processes.
    flow
        Whose requests these are.
    directory, files
        The verified bundle, and its manifest.

    Attributes
    ----------
    turn : int
        The most rows that a process answers before it is given back.

    Raises
    ------
    BundleError
        If it must not serve: see `load_library`.
    Problem
        If the processes end over it.
    """

    kind: Literal["compiled", "sklearn"] = "sklearn"

    def __init__(
        self, pool: LibraryPool, flow: Flow, directory: Path, files: Mapping[str, str]
    ) -> None:
        self.signature = load_signature(directory, files)
        self._pool = pool
        self.directory = str(directory)
        self._files = dict(files)
        self._flow = flow
        found = pool.load(self.directory, self._files, flow)
        if isinstance(found, Failed):
            raise BundleError(found.reason)
        self.turn = max(1, int(_TURN_SECONDS / max(found, 1e-9)))

    def predict_one(self, values: Sequence[Any]) -> Answer:
        """The answer for one row."""
        found = self.predict_many([[value] for value in values])[0]
        return found if self.signature.task == "multiclass" else float(found)

    def predict_many(self, columns: Sequence[Sequence[Any]]) -> NDArray[np.float64]:
        """The answer for each row, asked in as many turns as they take."""
        cells = packed(self.signature, columns)
        parts = [*map(self._predict, turns(cells, len(columns[0]), self.turn))]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _predict(self, cells: list[Cells]) -> NDArray[np.float64]:
        reply = self._ask(Predict(self.directory, cells))
        if not isinstance(reply, Answered):
            raise AssertionError("a library process answers or fails")
        return reply.array

    def serve(self, message: Serve) -> Served | Refusal | TooLong:
        """What a process makes of a whole request, if not too long for one turn."""
        reply = self._ask(message)
        if not isinstance(reply, Served | Refusal | TooLong):
            raise AssertionError("a library process answers or fails")
        return reply

    def _ask(self, message: Predict | Serve) -> Reply:
        reply = self._pool.predict(message, self._files, self._flow)
        if not isinstance(reply, Failed):
            return reply
        if reply.kind == "rows":
            raise Refused(reply.reason)
        log(
            "a version raised in its process",
            ERROR,
            model=self._flow.model,
            error__type=reply.error,
            error__stack_trace=reply.trace,
        )
        raise type(reply.error, (LibraryError,), {})(reply.reason)
