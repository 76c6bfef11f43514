"""Arrow streams from anybody: read whole, and checked before a value is used.

A stream may say that it holds more than its bytes: compressed buffers and run-end
encoding are refused, so that what is read is no larger than the body.
"""

import struct

import pyarrow as pa

from ml_assets.records.plan import Signature
from ml_assets.serving.requests.arrow_columns import read_table
from ml_assets.serving.requests.batch import Batch
from ml_assets.serving.requests.problems import Problem
from ml_assets.serving.requests.validation import check_size

_DETAIL_LENGTH = 300
# Fields of the flatbuffers of the format, by their order in its schema (Message.fbs).
_HEADER, _DICTIONARY_DATA, _COMPRESSION = 2, 1, 3


def decode(signature: Signature, body: bytes, max_rows: int) -> Batch:
    """The rows of an Arrow IPC stream.

    Raises
    ------
    Problem
        400 if it is no valid stream; 413 or 422 as `read_table` has it.
    """
    try:
        _refuse_compression(body)
        return read_table(signature, _read(body, max_rows), max_rows)
    except (pa.ArrowException, OSError, struct.error, UnicodeDecodeError) as error:
        detail = ascii(f"the Arrow stream cannot be read: {error}")[1:-1]
        raise Problem(400, "malformed-arrow", detail[:_DETAIL_LENGTH]) from error


def _read(body: bytes, max_rows: int) -> pa.Table:
    with pa.ipc.open_stream(body) as reader:
        batches = []
        rows = 0
        for batch in reader:
            rows += batch.num_rows
            if rows:
                check_size(rows, max_rows)
            # Else an offset beyond its buffer would be followed.
            batch.validate(full=True)
            batches.append(batch)
        return pa.Table.from_batches(batches, reader.schema)


def _refuse_compression(body: bytes) -> None:
    for message in pa.ipc.MessageReader.open_stream(body):
        kind = message.type
        if kind not in ("record batch", "dictionary"):
            continue
        metadata = message.metadata.to_pybytes()
        (root,) = struct.unpack_from("<I", metadata, 0)
        batch = _table(metadata, root, _HEADER)
        if kind == "dictionary" and batch is not None:
            batch = _table(metadata, batch, _DICTIONARY_DATA)
        if batch is not None and _table(metadata, batch, _COMPRESSION) is not None:
            detail = "expected buffers without compression, found compressed ones"
            raise Problem(400, "malformed-arrow", detail)


def _table(data: bytes, table: int, field: int) -> int | None:
    """Where the table that a field refers to begins; None where the field is absent."""
    (back,) = struct.unpack_from("<i", data, table)
    vtable = table - back
    (size,) = struct.unpack_from("<H", data, vtable)
    slot = 4 + 2 * field
    if slot >= size:
        return None
    (offset,) = struct.unpack_from("<H", data, vtable + slot)
    if not offset:
        return None
    at = table + offset
    return int(at + struct.unpack_from("<I", data, at)[0])
