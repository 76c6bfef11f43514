"""The record batches of Parquet and Arrow files, one after the other."""

import io
from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO

from ml_assets.cli.output import Failed

if TYPE_CHECKING:
    import pyarrow as pa

FORMATS = {"parquet": "Parquet", "arrow": "Arrow"}
# What a file of Arrow begins with; a stream begins with its length.
ARROW_FILE = b"ARROW1"


def record_batches(
    stream: BinaryIO, kind: str, size: int
) -> Iterator["pa.RecordBatch"]:
    """Yield batches of at most `size` rows.

    Parameters
    ----------
    stream : binary file
        Is read as it is needed; what is read from its end, and cannot be, whole.
    kind : str
        ``parquet``, or ``arrow``: a file or a stream of the IPC format.
    size : int

    Raises
    ------
    Failed
        If the file is not what it should be.
    """
    import pyarrow as pa

    read = _parquet if kind == "parquet" else _arrow
    try:
        for batch in read(stream, size):
            for start in range(0, batch.num_rows, size):
                yield batch.slice(start, size)
    except (pa.ArrowException, OSError) as error:
        raise Failed(f"the {FORMATS[kind]} file cannot be read: {error}") from error


def _parquet(stream: BinaryIO, size: int) -> Iterator["pa.RecordBatch"]:
    import pyarrow.parquet as pq

    yield from pq.ParquetFile(_seekable(stream)).iter_batches(batch_size=size)


def _arrow(stream: BinaryIO, size: int) -> Iterator["pa.RecordBatch"]:
    import pyarrow as pa

    head = stream.peek(8) if isinstance(stream, io.BufferedReader) else b""
    if head.startswith(ARROW_FILE):
        file = pa.ipc.open_file(_seekable(stream))
        yield from map(file.get_batch, range(file.num_record_batches))
    else:
        yield from pa.ipc.open_stream(stream)


def _seekable(stream: BinaryIO) -> BinaryIO:
    """The stream; in memory where it is a pipe, which cannot be read from its end."""
    return stream if stream.seekable() else io.BytesIO(stream.read())
