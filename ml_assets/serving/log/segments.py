"""The files of a log: numbered segments that are appended to, closed and adopted.

A segment is ``<number>.open`` while it is written and ``<number>.jsonl`` once it is
whole; segments of labels have ``.labels`` after the number. A record counts when its
newline is there: what a killed server left after the last one was never answered.
"""

import errno
import os
import threading
import time
import zlib
from pathlib import Path
from typing import NamedTuple

from ml_assets.core.files import sync_directory
from ml_assets.serving.log.retired_segment import CLOSED, OPEN, RetiredSegment

LABELS = ".labels"


class Kept(NamedTuple):
    """A segment that is still here: when it was begun (monotonic), and its bytes."""

    name: str
    begun: float
    size: int


class Closed(NamedTuple):
    """What closing came to: records that may be lost, and why segments stay open."""

    lost: int
    failures: list[OSError]


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
        self._records = 0
        self._checksum = 0
        self._begun = 0.0
        self._retired: list[RetiredSegment] = []
        self._made: list[Path] = []
        self._here: dict[int, float] = {}

    def append(self, data: bytes, records: int) -> None:
        """Append `records` whole records with one write, or nothing at all.

        Raises
        ------
        OSError
            If they could not be written. A part that was written is cut off again.
        """
        with self._lock:
            self._append(data, records)
            self._retire_if_full()

    def append_durably(self, data: bytes, records: int) -> None:
        """Append as `append` does, and return when a power cut takes nothing back.

        Raises
        ------
        OSError
            If that cannot be promised. None of the records stays, and what is appended
            next goes to another segment: a failed flush is reported only once.
        """
        with self._lock:
            if self._descriptor < 0:
                self._open()
            before = self._size, self._records, self._checksum
            self._append(data, records)
            try:
                os.fsync(self._descriptor)
                if not before[0]:
                    sync_directory(self.directory)
            except OSError:
                self._size, self._records, self._checksum = before
                self._retire(is_suspect=True)
                raise
            self._retire_if_full()

    def retire(self, at_once: bool = False) -> None:
        """End the open segment if it is old enough, or `at_once`."""
        with self._lock:
            age = time.monotonic() - self._begun
            if self._descriptor >= 0 and (at_once or age >= self._max_seconds):
                self._retire()

    def close_retired(self) -> Closed:
        """Close the segments that have ended; those that cannot be are tried again."""
        lost, failures = 0, []
        for segment in self._retired.copy():
            try:
                lost += segment.close()
            except OSError as error:
                failures.append(error)
                continue
            self._retired.remove(segment)
            os.close(segment.descriptor)
        return Closed(lost, failures)

    @property
    def has_segments(self) -> bool:
        """Whether there may be segments in its directory."""
        return bool(self._here or self._retired)

    def unshipped(self) -> list[Kept]:
        """The segments of this writer that are still in its directory, with records."""
        with self._lock:
            here = self._here.copy()
        found, gone = [], []
        for number, begun in here.items():
            size = _size_of(self._path(number))
            if size is None:
                gone.append(number)
            elif size:
                name = f"{number:08d}{self._infix}{CLOSED}"
                found.append(Kept(name, begun, size))
        with self._lock:
            for number in gone:
                self._here.pop(number, None)
        return found

    def _append(self, data: bytes, records: int) -> None:
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
        self._records += records
        self._checksum = zlib.crc32(data, self._checksum)

    def _open(self) -> None:
        self._make_directory()
        path = self._path(self._number + 1)
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND
        self._descriptor = os.open(path, flags, 0o640)
        self._number += 1
        self._size = self._records = self._checksum = 0
        self._begun = time.monotonic()
        self._here[self._number] = self._begun

    def _make_directory(self) -> None:
        parents = (self.directory, *self.directory.parents)
        self._made += [path for path in parents if not path.exists()]
        self.directory.mkdir(parents=True, exist_ok=True)
        while self._made:
            sync_directory(self._made[-1].parent)
            self._made.pop()

    def _cut(self) -> None:
        """Take back what was written of records that did not fit."""
        try:
            os.ftruncate(self._descriptor, self._size)
        except OSError:
            # Nothing may follow half a record: it is cut when the segment is closed.
            self._retire()

    def _retire_if_full(self) -> None:
        if self._size >= self._max_bytes:
            self._retire()

    def _retire(self, is_suspect: bool = False) -> None:
        self._retired.append(
            RetiredSegment(
                self._path(self._number),
                self._descriptor,
                self._size,
                self._records,
                self._checksum,
                is_suspect,
            )
        )
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
