"""An object of the storage as a file of Python, whose parts are read when asked for."""

import io
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from obstore import ReadableFile


class ObjectReader(io.RawIOBase):
    """A reader of obstore with the methods that Arrow asks of a file.

    Parameters
    ----------
    fault : callable
        Makes the error that is raised of one of the reader.
    """

    def __init__(
        self, reader: "ReadableFile", fault: Callable[[Exception], Exception]
    ) -> None:
        self._reader = reader
        self._fault = fault

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return int(self._reader.seek(offset, whence))

    def tell(self) -> int:
        return int(self._reader.tell())

    def readinto(self, buffer: Any) -> int:
        try:
            found = self._reader.read(len(buffer))
        except OSError as error:
            raise self._fault(error) from error
        buffer[: len(found)] = bytes(found)
        return len(found)
