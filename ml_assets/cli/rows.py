"""Rows to score, from CSV, JSON, JSON lines or Parquet, one at a time."""

import csv
import io
import math
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import PurePath
from typing import Any, BinaryIO

import msgspec

from ml_assets.cli.output import Failed
from ml_assets.serving.plan import Column

Row = dict[str, Any]

SUFFIXES = {
    ".csv": "csv",
    ".json": "json",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
}
# Cell texts that mean a missing value, unless the column has such a category.
MISSING = frozenset({"", "?", "NA", "NaN", "nan", "null", "NULL"})
BOOLEANS = {"true": True, "false": False}


def detect(name: str, stream: io.BufferedReader) -> str:
    """The format of a file by its name, else by its first bytes."""
    suffix = PurePath(name).suffix.lower()
    if suffix in SUFFIXES:
        return SUFFIXES[suffix]
    head = stream.peek(4096)
    start = head.lstrip()[:1]
    if head.startswith(b"PAR1"):
        return "parquet"
    if start == b"[":
        return "json"
    if start == b"{":
        return "jsonl" if _is_whole(head.lstrip().partition(b"\n")) else "json"
    return "csv"


def _is_whole(line: tuple[bytes, bytes, bytes]) -> bool:
    """Whether the first line of a text is one JSON object, and not a whole request."""
    try:
        value = msgspec.json.decode(line[0])
    except msgspec.DecodeError:
        return False
    return isinstance(value, dict) and not set(value) <= {"rows", "columns"}


def read(stream: BinaryIO, kind: str, columns: Iterable[Column]) -> Iterator[Row]:
    """Yield the rows of `stream`.

    Parameters
    ----------
    stream : binary file
        Is read as it is needed, but for a JSON document, which is read whole.
    kind : str
        ``csv``, ``json``, ``jsonl`` or ``parquet``.
    columns : iterable of Column
        What the model takes; CSV knows only texts, and these say what they mean.

    Raises
    ------
    Failed
        With the line where the file is not what it should be.
    """
    if kind == "csv":
        return _csv(stream, {column.name: column for column in columns})
    readers: dict[str, Callable[[BinaryIO], Iterator[Row]]] = {
        "json": _json,
        "jsonl": _json_lines,
        "parquet": _parquet,
    }
    return readers[kind](stream)


def chunks(rows: Iterable[Row], size: int) -> Iterator[list[Row]]:
    """Lists of at most `size` rows.

    Examples
    --------
    >>> [len(chunk) for chunk in chunks([{}] * 5, 2)]
    [2, 2, 1]
    """
    iterator = iter(rows)
    while chunk := list(islice(iterator, size)):
        yield chunk


def _csv(stream: BinaryIO, columns: dict[str, Column]) -> Iterator[Row]:
    text = io.TextIOWrapper(stream, encoding="utf-8-sig", newline="")
    reader = csv.reader(text)
    try:
        header = [name.strip() for name in next(reader, [])]
        # Without a name it is an index, as pandas writes it, and no input.
        twice = {name for name in header if name and header.count(name) > 1}
        if twice:
            raise Failed(f"the CSV header names {', '.join(sorted(twice))} twice")
        for cells in reader:
            if not cells:
                continue
            if len(cells) != len(header):
                raise Failed(
                    f"line {reader.line_num} of the CSV has {len(cells)} cells,"
                    f" expected {len(header)} as in the header"
                )
            pairs = zip(header, cells, strict=True)
            yield {name: _cell(t, columns.get(name)) for name, t in pairs if name}
    except UnicodeDecodeError as error:
        raise Failed(f"the CSV is not UTF-8: {error.reason}") from error
    except csv.Error as error:
        raise Failed(f"line {reader.line_num} of the CSV: {error}") from error


def _cell(text: str, column: Column | None) -> Any:
    """The value that a cell stands for; a text where it stands for none."""
    text = text.strip()
    if column is None or (column.categories and text in column.categories):
        return text
    if text in MISSING:
        return None
    if column.kind == "boolean":
        return BOOLEANS.get(text.lower(), text)
    if column.kind in ("number", "integer"):
        return _number(text)
    return text


def _number(text: str) -> Any:
    # Python's own spellings 1_000 and inf are no numbers of a CSV.
    if "_" in text:
        return text
    try:
        return int(text)
    except ValueError:
        pass
    try:
        value = float(text)
    except ValueError:
        return text
    return value if math.isfinite(value) else text


def _json(stream: BinaryIO) -> Iterator[Row]:
    expected = 'expected an array of objects, {"rows": [...]} or {"columns": {...}}'
    try:
        value = msgspec.json.decode(stream.read())
    except msgspec.DecodeError as error:
        raise Failed(f"the JSON cannot be read: {error}") from error
    if isinstance(value, dict) and list(value) == ["columns"]:
        value = _transposed(value["columns"])
    elif isinstance(value, dict):
        value = value["rows"] if list(value) == ["rows"] else [value]
    if not isinstance(value, list) or not all(isinstance(row, dict) for row in value):
        raise Failed(f"the JSON holds no rows: {expected}")
    yield from value


def _transposed(columns: Any) -> list[Row]:
    is_table = isinstance(columns, dict) and all(
        isinstance(values, list) for values in columns.values()
    )
    if not is_table or len({len(values) for values in columns.values()}) > 1:
        raise Failed('"columns" must hold one array per column, all of one length')
    rows = zip(*columns.values(), strict=True)
    return [dict(zip(columns, values, strict=True)) for values in rows]


def _json_lines(stream: BinaryIO) -> Iterator[Row]:
    for number, line in enumerate(stream, start=1):
        if not line.strip():
            continue
        try:
            yield msgspec.json.decode(line, type=dict[str, Any])
        except msgspec.MsgspecError as error:
            raise Failed(f"line {number} is not a JSON object: {error}") from error


def _parquet(stream: BinaryIO) -> Iterator[Row]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    # Parquet is read from its end, which a pipe cannot do.
    source = stream if stream.seekable() else io.BytesIO(stream.read())
    try:
        for batch in pq.ParquetFile(source).iter_batches(batch_size=1024):
            _refuse_infinite(batch)
            yield from batch.to_pylist()
    except (pa.ArrowException, OSError) as error:
        raise Failed(f"the Parquet file cannot be read: {error}") from error


def _refuse_infinite(batch: Any) -> None:
    """JSON has no infinity; the encoder would make it a missing value."""
    import pyarrow as pa
    import pyarrow.compute as pc

    for field, values in zip(batch.schema, batch.columns, strict=True):
        if pa.types.is_floating(field.type) and pc.any(pc.is_inf(values)).as_py():
            raise Failed(f"column {field.name} of the Parquet file holds infinity")
