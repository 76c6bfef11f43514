"""A long body in pieces, between which the event loop gets the interpreter.

Decoding is one call that holds the interpreter: 8 MiB hold it for 30 ms, and as much
longer as others have the processor meanwhile. Whatever the event loop does waits.
"""

import contextlib
import re
import threading
import time
from collections.abc import Iterator
from typing import Any

# What is decoded in one piece: about a millisecond.
TURN_BYTES = 256 * 1024
_PAUSE_SECONDS = 0.001
_FIRST_ROW = re.compile(rb'[ \t\r\n]*\{[ \t\r\n]*"rows"[ \t\r\n]*:[ \t\r\n]*\[')
_NEXT_ROW = re.compile(rb"\}([ \t\r\n]*,[ \t\r\n]*)\{")
_only_one = threading.Lock()


@contextlib.contextmanager
def turn() -> Iterator[None]:
    """A short part of a long computation, and a pause after it.

    One thread of the process is in a turn at a time: several would follow each other,
    and the event loop would get the interpreter after the last of them. Never to be
    used on the event loop, which would wait itself.
    """
    with _only_one:
        yield
        time.sleep(_PAUSE_SECONDS)


def split_rows(body: bytes, size: int = TURN_BYTES) -> tuple[list[memoryview], bytes]:
    """Parts of about `size` bytes with the rows of a body, and its start.

    Each part but the last is an array without its brackets, and the last one follows
    the start. Rows are parted where one may end and the next begin, and never looked
    into. Where that is within a string, the part before it is no JSON, as its string
    does not end; where all are JSON, they hold what the body holds. The only part is
    the whole body where that does not begin with its rows.

    Examples
    --------
    >>> body = b'{"rows": [{"a": 1}, {"a": 2}], "entities": ["u", "v"]}'
    >>> parts, start = split_rows(body, 5)
    >>> [*map(bytes, parts)], start
    ([b'{"a": 1}', b'{"a": 2}], "entities": ["u", "v"]}'], b'{"rows":[')
    """
    view = memoryview(body)
    first = _FIRST_ROW.match(body)
    if first is None:
        return [view], b""
    parts, start = [], first.end()
    while (found := _NEXT_ROW.search(body, start + size)) is not None:
        parts.append(view[start : found.start(1)])
        start = found.end(1)
    return [*parts, view[start:]], b'{"rows":['


def transposed(values: list[tuple[Any, ...]], body_bytes: int) -> list[list[Any]]:
    """The columns of the rows of a body of so many bytes, in turns."""
    columns: list[list[Any]] = [[] for _ in values[0]]
    # A quarter of the time that it takes to decode them.
    step = max(1, 4 * len(values) * TURN_BYTES // body_bytes)
    for start in range(0, len(values), step):
        with turn():
            for column, cells in zip(columns, zip(*values[start : start + step])):
                column += cells
    return columns
