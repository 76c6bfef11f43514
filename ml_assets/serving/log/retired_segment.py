"""How a segment that has ended survives a power cut: flushed, or written anew.

A flush that fails may have dropped what was written, and it fails once: the next flush
of the same file succeeds, whatever is gone. A segment whose flush failed is therefore
never flushed again. What can be read of it goes to a new file, and a checksum proves
whether that is all that was written.
"""

import logging
import os
import zlib
from dataclasses import dataclass
from pathlib import Path

from ml_assets.core.files import atomic_path, sync_directory
from ml_assets.serving.logs import log

OPEN = ".open"
CLOSED = ".jsonl"


@dataclass
class RetiredSegment:
    """A segment that is appended to no more.

    Attributes
    ----------
    path
        Where it was written.
    descriptor
        Open for reading and writing, until the segment is closed.
    size
        Bytes that are valid; half a record may follow them.
    records
        Predictions or labels in it.
    checksum
        CRC-32 of the valid bytes.
    is_suspect
        Whether a flush of it has failed.
    """

    path: Path
    descriptor: int
    size: int
    records: int
    checksum: int
    is_suspect: bool = False

    def close(self) -> int:
        """Make it survive a power cut, and give it its last name; repeatable.

        Returns
        -------
        int
            How many of its records may be lost.

        Raises
        ------
        OSError
            If it can neither be flushed nor be written anew; it stays as it is.
        """
        if not self.size:
            self.path.unlink(missing_ok=True)
            return 0
        if self.is_suspect or not self._is_flushed():
            return self._write_anew()
        try:
            os.rename(self.path, self.path.with_suffix(CLOSED))
        except FileNotFoundError:
            # Removed by hand, or renamed in an attempt that failed after it.
            return self._write_anew()
        sync_directory(self.path.parent)
        return 0

    def _is_flushed(self) -> bool:
        try:
            if os.fstat(self.descriptor).st_size > self.size:
                os.ftruncate(self.descriptor, self.size)
            os.fsync(self.descriptor)
        except OSError as error:
            self.is_suspect = True
            log(
                "a segment could not be flushed and is written anew",
                logging.WARNING,
                segment=str(self.path),
                reason=str(error.strerror),
            )
            return False
        return os.fstat(self.descriptor).st_size == self.size

    def _write_anew(self) -> int:
        data = os.pread(self.descriptor, self.size, 0)
        is_whole = zlib.crc32(data) == self.checksum
        _write_lines(self.path, data)
        return 0 if is_whole else self.records


def close_orphan(path: Path) -> Path | None:
    """Close a segment whose server is dead, without its torn last line.

    A flush of it may have failed before its server died, so it is written anew.
    """
    return _write_lines(path, path.read_bytes())


def _write_lines(path: Path, data: bytes) -> Path | None:
    """The whole lines of an open segment as a closed one; None where there are none."""
    whole = data[: data.rfind(b"\n") + 1]
    closed = path.with_suffix(CLOSED)
    if whole:
        with atomic_path(closed) as temporary:
            temporary.write_bytes(whole)
    path.unlink(missing_ok=True)
    return closed if whole else None
