"""What a server and its library processes say to each other, and how it travels.

A message is its length and its content; numbers travel as the bytes of float64.
"""

import socket
from collections.abc import Iterator, Sequence
from struct import Struct
from time import monotonic
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from ml_assets.core.column_arrays import NumberColumn
from ml_assets.core.decoding import from_msgpack
from ml_assets.records.plan import ServingPlan, Signature
from ml_assets.serving.requests.batch import UnseenCategory
from ml_assets.serving.requests.messages import Form
from ml_assets.serving.requests.problems import FieldError, Problem
from ml_assets.serving.runtime.protocol import Refused

_LENGTH = Struct("<Q")
_NUMBER_BYTES = 8
_NUMERIC = ("number", "integer")

# The cells of a column: float64 as bytes, other values as they are, None if ignored.
Cells = bytes | list[str | bool | None] | None


class Load(msgspec.Struct, tag=True):
    """Load the bundle in a directory, which `Loaded` or `Failed` answers."""

    directory: str
    files: dict[str, str]


class Predict(msgspec.Struct, tag=True):
    """Answer the rows of `columns`, which `Answered` or `Failed` answers."""

    directory: str
    columns: list[Cells]


class Serve(msgspec.Struct, tag=True):
    """Answer a request whole: `Served`, `Refusal`, `TooLong` or `Failed` is the answer.

    ``protocol`` names who decodes the body, and ``caller`` is the id of who asks; a
    request of more than ``most_rows`` rows is too long.
    """

    directory: str
    plan: ServingPlan
    max_rows: int
    most_rows: int
    protocol: str
    is_logged: bool
    request_id: str
    made_id: bool
    body: bytes
    received: float
    entity: bytes | None
    caller: str | None
    form: Form
    media: bytes


class Unload(msgspec.Struct, tag=True):
    """Forget the bundle of a directory, which `Unloaded` answers."""

    directory: str


class Loaded(msgspec.Struct, tag=True):
    """A bundle repeated its probe answers, in so many seconds a row."""

    row_seconds: float


class Answered(msgspec.Struct, tag=True):
    """The answers: float64 of a shape."""

    shape: list[int]
    data: bytes

    @property
    def array(self) -> NDArray[np.float64]:
        """The answers as an array."""
        return np.frombuffer(self.data, np.float64).reshape(self.shape)


class Served(msgspec.Struct, tag=True):
    """The answer to a request as the client gets it, and what is kept of it.

    ``records`` holds the lines of the prediction log for ``count`` predictions.
    """

    body: bytes
    content_type: bytes
    headers: tuple[tuple[bytes, bytes], ...]
    rows: int
    unseen: Sequence[UnseenCategory]
    records: bytes
    count: int


class Refusal(msgspec.Struct, tag=True):
    """The request is refused, as a `Problem` says."""

    status: int
    slug: str
    detail: str
    errors: list[FieldError]
    headers: list[tuple[bytes, bytes]]

    @classmethod
    def of(cls, problem: Problem) -> "Refusal":
        """What a problem says."""
        return cls(
            problem.status,
            problem.slug,
            problem.detail,
            problem.errors,
            problem.headers,
        )

    @property
    def problem(self) -> Problem:
        """The problem again."""
        return Problem(self.status, self.slug, self.detail, self.errors, self.headers)


class TooLong(msgspec.Struct, tag=True):
    """The request would keep the process for longer than its turn; nothing was done."""


class Unloaded(msgspec.Struct, tag=True):
    """A bundle was forgotten."""


Kind = Literal["bundle", "rows", "error"]


class Failed(msgspec.Struct, tag=True):
    """Why there is no answer: the bundle must not serve, the rows, or anything else."""

    kind: Kind
    error: str
    reason: str
    trace: str = ""


Asked = Load | Predict | Serve | Unload
Reply = Loaded | Answered | Served | Refusal | TooLong | Unloaded | Failed


class Channel:
    """One end of a connected pair of sockets."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end

    def send(self, message: Asked | Reply, seconds: float | None = None) -> None:
        """Send a message whole.

        Raises
        ------
        TimeoutError
            If the other end does not take it in `seconds`.
        OSError
            If there is no other end.
        """
        content = msgspec.msgpack.encode(message)
        self._end.settimeout(seconds)
        self._end.sendall(_LENGTH.pack(len(content)) + content)

    def receive(self, kind: Any, seconds: float | None = None) -> Any:
        """The next message, which is of one of the types that `kind` is.

        Raises
        ------
        TimeoutError
            If it is not whole in `seconds`.
        EOFError
            If the other end is closed.
        """
        deadline = None if seconds is None else monotonic() + seconds
        (length,) = _LENGTH.unpack(self._read(_LENGTH.size, deadline))
        return from_msgpack(self._read(length, deadline), kind)

    def _read(self, size: int, deadline: float | None) -> bytearray:
        found = bytearray(size)
        rest = memoryview(found)
        while rest:
            if deadline is not None:
                left = deadline - monotonic()
                if left <= 0:
                    raise TimeoutError
                self._end.settimeout(left)
            # Each copy of a long message would hold the interpreter.
            received = self._end.recv_into(rest)
            if not received:
                raise EOFError
            rest = rest[received:]
        return found

    def close(self) -> None:
        """Close this end."""
        self._end.close()


def packed(signature: Signature, columns: Sequence[Sequence[Any]]) -> list[Cells]:
    """The columns of a request as a message carries them.

    Raises
    ------
    Refused
        If a number is beyond float64.

    Examples
    --------
    >>> from ml_assets.records.plan import Column
    >>> columns = (Column(name="n", kind="number"), Column(name="s", kind="string"))
    >>> signature = Signature(columns=columns, target="y", negative=0, positive=1)
    >>> cells = packed(signature, [[1, 2.5], ["a", None]])
    >>> [list(column) for column in unpacked(cells)]
    [[1.0, 2.5], ['a', None]]
    """
    found: list[Cells] = []
    for column, values in zip(signature.columns, columns, strict=True):
        if column.ignored:
            found.append(None)
        elif column.kind in _NUMERIC:
            try:
                found.append(np.array(values, np.float64).tobytes())
            except OverflowError as error:
                raise Refused(f"a number is too large: {error}") from error
        else:
            found.append([*values])
    return found


def unpacked(columns: Sequence[Cells]) -> list[Sequence[Any]]:
    """The columns as runtimes take them, which need the length of ignored ones too."""
    found = [
        (
            NumberColumn(np.frombuffer(cells, np.float64))
            if isinstance(cells, bytes)
            else cells
        )
        for cells in columns
    ]
    size = max((len(column) for column in found if column is not None), default=0)
    return [[None] * size if column is None else column for column in found]


def turns(columns: Sequence[Cells], size: int, most: int) -> Iterator[list[Cells]]:
    """The columns of `size` rows in parts of at most `most` rows, one if of no row.

    Examples
    --------
    >>> [part for part in turns([["a", "b", "c"], None], 3, 2)]
    [[['a', 'b'], None], [['c'], None]]
    """
    for start in range(0, max(size, 1), most):
        yield [_part(cells, start, start + most) for cells in columns]


def _part(cells: Cells, start: int, end: int) -> Cells:
    if isinstance(cells, bytes):
        return cells[start * _NUMBER_BYTES : end * _NUMBER_BYTES]
    return cells and cells[start:end]
