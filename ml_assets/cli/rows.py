"""Rows to score, from CSV, JSON, JSON lines, Parquet or Arrow, one at a time."""

import csv
import io
import itertools
import math
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, BinaryIO

import msgspec

from ml_assets.cli.output import Failed
from ml_assets.cli.record_batches import ARROW_FILE, FORMATS, record_batches
from ml_assets.core.decoding import from_json
from ml_assets.records.plan import Column

if TYPE_CHECKING:
    from ml_assets.spec.csv_format import CsvFormat

Row = dict[str, Any]

SUFFIXES = {
    ".csv": "csv",
    ".json": "json",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".arrow": "arrow",
    ".arrows": "arrow",
    ".feather": "arrow",
}
# A stream of Arrow begins with a message.
_ARROW_STREAM = b"\xff\xff\xff\xff"
_ROWS = 1_024
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
    if head.startswith((ARROW_FILE, _ARROW_STREAM)):
        return "arrow"
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


def read(
    stream: BinaryIO,
    kind: str,
    columns: Iterable[Column],
    layout: "CsvFormat | None" = None,
) -> Iterator[Row]:
    """Yield the rows of `stream`.

    Parameters
    ----------
    stream : binary file
        Is read as it is needed, but for a JSON document, which is read whole.
    kind : str
        ``csv``, ``json``, ``jsonl``, ``parquet`` or ``arrow``.
    columns : iterable of Column
        What the model takes; they give the cells of a CSV, which are texts, their type.
    layout : CsvFormat, optional
        How the CSV is written that the model learnt from. A file whose header lacks
        its separator is an ordinary CSV all the same.

    Raises
    ------
    Failed
        With the line where the file is not what it should be.
    """
    if kind == "csv":
        return _csv(stream, {column.name: column for column in columns}, layout)
    readers: dict[str, Callable[[BinaryIO], Iterator[Row]]] = {
        "json": _json,
        "jsonl": _json_lines,
        "parquet": lambda stream: _columnar(stream, "parquet"),
        "arrow": lambda stream: _columnar(stream, "arrow"),
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


def _csv(
    stream: BinaryIO, columns: dict[str, Column], layout: "CsvFormat | None"
) -> Iterator[Row]:
    from ml_assets.spec.csv_format import CsvFormat

    layout = layout or CsvFormat()
    is_utf8 = layout.encoding.lower().replace("-", "") == "utf8"
    encoding = "utf-8-sig" if is_utf8 else layout.encoding
    text = io.TextIOWrapper(stream, encoding=encoding, newline="")
    reader = None
    try:
        for _ in range(layout.skip_rows):
            text.readline()
        first = text.readline()
        if layout.header and layout.separator not in first and "," in first:
            layout = CsvFormat()
        lines = itertools.chain([first] if first else [], text)
        reader = csv.reader(lines, delimiter=layout.separator)
        header, below = _header(reader, layout)
        # Without a name it is an index, as pandas writes it, and no input.
        twice = {name for name in header if name and header.count(name) > 1}
        if twice:
            raise Failed(f"the CSV header names {', '.join(sorted(twice))} twice")
        for cells in below:
            if not cells:
                continue
            if len(cells) != len(header):
                raise Failed(
                    f"line {reader.line_num} of the CSV has {len(cells)} cells,"
                    f" expected {len(header)} as in the header"
                )
            pairs = zip(header, cells, strict=True)
            yield {
                name: _cell(t, columns.get(name), layout) for name, t in pairs if name
            }
    except UnicodeError as error:
        raise Failed(f"the CSV is not {layout.encoding.upper()}: {error}") from error
    except csv.Error as error:
        number = reader.line_num if reader else 1
        raise Failed(f"line {number} of the CSV: {error}") from error


def _header(
    reader: Iterator[list[str]], layout: "CsvFormat"
) -> tuple[list[str], Iterator[list[str]]]:
    """The names of the columns, as training had them, and the rows below."""
    first = next(reader, [])
    below = reader if layout.header else itertools.chain([first], reader)
    if layout.columns:
        return layout.columns, below
    if layout.header:
        return [name.strip() for name in first], below
    return [f"f{number}" for number in range(len(first))], below


def _cell(text: str, column: Column | None, layout: "CsvFormat") -> Any:
    """The value that a cell stands for; a text where it stands for none."""
    text = text.strip() if layout.strip else text
    if column is None or (column.categories and text in column.categories):
        return text
    if text in layout.missing:
        return None
    if column.kind == "boolean":
        return BOOLEANS.get(text.lower(), text)
    if column.kind in ("number", "integer"):
        return _number(text, layout)
    return text


def _number(text: str, layout: "CsvFormat") -> Any:
    """The number that a cell stands for, as training reads it; else its text."""
    from ml_assets.spec.csv_format import number_of

    plain = number_of(text.strip(), layout)
    try:
        return text if plain is None else int(plain)
    except ValueError:
        pass
    try:
        value = float(plain or "")
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
            yield from_json(line, dict[str, Any])
        except msgspec.MsgspecError as error:
            raise Failed(f"line {number} is not a JSON object: {error}") from error


def _columnar(stream: BinaryIO, kind: str) -> Iterator[Row]:
    for batch in record_batches(stream, kind, _ROWS):
        _refuse_infinite(batch, kind)
        yield from batch.to_pylist()


def _refuse_infinite(batch: Any, kind: str) -> None:
    """JSON has no infinity; the encoder would make it a missing value."""
    import pyarrow as pa
    import pyarrow.compute as pc

    for field, values in zip(batch.schema, batch.columns, strict=True):
        if pa.types.is_floating(field.type) and pc.any(pc.is_inf(values)).as_py():
            raise Failed(
                f"column {field.name} of the {FORMATS[kind]} file holds infinity"
            )
