"""The files of a log: numbered segments that are appended to, closed and adopted.

A segment is ``<number>.open`` while it is written and ``<number>.jsonl`` once it is
whole; segments of labels have ``.labels`` after the number. A line counts when its
newline is there: what a killed server left after the last one was never answered.
"""

import errno
import mmap
import os
import threading
import time
from pathlib import Path
from typing import NamedTuple

from ml_assets.storage import sync_directory

OPEN = ".open"
CLOSED = ".jsonl"
LABELS = ".labels"


class Retired(NamedTuple):
    """A segment that is appended to no more, its descriptor, and how much is valid."""

    path: Path
    descriptor: int
    size: int


class Kept(NamedTuple):
    """A segment that is still here: when it was begun (monotonic), and its bytes."""

    begun: float
    size: int


class SegmentWriter:
    """Appends to the segments of one directory, from any thread.

    Parameters
    ----------
    directory
        Created with the first segment.
    infix
        What stands after a segment's number: nothing, or ``.labels``.
    max_bytes
        A segment that has reached this size is followed by another.
    max_seconds
        So is one that was begun so long ago.
    """

    def __init__(
        self, directory: Path, infix: str, max_bytes: int, max_seconds: float
    ) -> None:
        self.directory = directory
        self._infix = infix
        self._max_bytes = max_bytes
        self._max_seconds = max_seconds
        self._lock = threading.Lock()
        self._number = 0
        self._descriptor = -1
        self._size = 0
        self._begun = 0.0
        self._retired: list[Retired] = []
        self._here: dict[int, float] = {}

    def append(self, data: bytes) -> None:
        """Append whole lines with one write, or nothing at all.

        Raises
        ------
        OSError
            If they could not be written. A part that was written is cut off again.
        """
        with self._lock:
            if self._descriptor < 0:
                self._open()
            try:
                written = os.write(self._descriptor, data)
            except OSError:
                self._cut()
                raise
            if written != len(data):
                self._cut()
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            self._size += written
            if self._size >= self._max_bytes:
                self._retire()

    def retire(self, at_once: bool = False) -> None:
        """End the open segment if it is old enough, or `at_once`."""
        with self._lock:
            age = time.monotonic() - self._begun
            if self._descriptor >= 0 and (at_once or age >= self._max_seconds):
                self._retire()

    def close_retired(self) -> None:
        """Close the segments that have ended; those that cannot be are tried again.

        Raises
        ------
        OSError
            At the first that cannot be closed.
        """
        while self._retired:
            path, descriptor, size = self._retired[0]
            if os.fstat(descriptor).st_size > size:
                os.ftruncate(descriptor, size)
            finish(path, descriptor)
            os.close(descriptor)
            self._retired.pop(0)

    def unshipped(self) -> list[Kept]:
        """The segments of this writer that are still in its directory, with lines."""
        with self._lock:
            here = self._here.copy()
        found, gone = [], []
        for number, begun in here.items():
            size = _size_of(self._path(number))
            if size is None:
                gone.append(number)
            elif size:
                found.append(Kept(begun, size))
        with self._lock:
            for number in gone:
                self._here.pop(number, None)
        return found

    def _open(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        path = self._path(self._number + 1)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND
        self._descriptor = os.open(path, flags, 0o640)
        self._number += 1
        self._size = 0
        self._begun = time.monotonic()
        self._here[self._number] = self._begun

    def _cut(self) -> None:
        """Take back what was written of lines that did not fit."""
        try:
            os.ftruncate(self._descriptor, self._size)
        except OSError:
            # Nothing may follow half a line: it is cut when the segment is closed.
            self._retire()

    def _retire(self) -> None:
        path = self._path(self._number)
        self._retired.append(Retired(path, self._descriptor, self._size))
        self._descriptor = -1

    def _path(self, number: int) -> Path:
        return self.directory / f"{number:08d}{self._infix}{OPEN}"


def _size_of(path: Path) -> int | None:
    """Bytes of a segment, open or closed; None where it was shipped."""
    for name in (path, path.with_suffix(CLOSED)):
        try:
            return name.stat().st_size
        except FileNotFoundError:
            continue
    return None


def finish(path: Path, descriptor: int) -> Path | None:
    """Make a segment that is whole survive a power cut, and give it its last name.

    An empty one is removed.
    """
    if os.fstat(descriptor).st_size == 0:
        path.unlink()
        return None
    os.fsync(descriptor)
    closed = path.with_suffix(CLOSED)
    os.rename(path, closed)
    sync_directory(path.parent)
    return closed


def close_orphan(path: Path) -> Path | None:
    """Close a segment whose server is dead, without its torn last line."""
    descriptor = os.open(path, os.O_RDWR)
    try:
        os.ftruncate(descriptor, whole_bytes(descriptor))
        return finish(path, descriptor)
    finally:
        os.close(descriptor)


def whole_bytes(descriptor: int) -> int:
    """How many bytes of a file its last newline ends, in bytes."""
    size = os.fstat(descriptor).st_size
    if size == 0:
        return 0
    with mmap.mmap(descriptor, size, access=mmap.ACCESS_READ) as data:
        return data.rfind(b"\n") + 1
