"""One prediction by its id, wherever the log has it by now.

A record moves from the server's open segment to a shipped one and from there to
Parquet; it is searched in that order, so that one that moves meanwhile is not missed.
"""

import mmap
import time
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from msgspec.structs import asdict

from ml_assets.prediction_log.segments import (
    LABELS,
    day_of,
    predictions_in,
    timestamp_of,
)

# A file that was last written so long before the id was made does not hold it. Clocks
# of machines differ.
SLACK_SECONDS = 300.0
COLUMNS = "time request version arm generation entity p label us error x".split()


class Logged(NamedTuple):
    """The records of one id: the answer's first, then that of a shadow, if any."""

    model: str
    path: Path
    records: list[dict[str, Any]]


def find(home: Path, storage: Path, prediction_id: str) -> Logged | None:
    """The prediction `prediction_id`; None where no log has it.

    Raises
    ------
    ValueError
        If it is no UUIDv7.
    """
    made_at, day = timestamp_of(prediction_id), day_of(prediction_id)
    if made_at > time.time():
        # By a clock that is ahead: nobody knows when.
        made_at = 0.0
    for path in _segments(home, storage, made_at):
        records = list(_records_in(path, prediction_id))
        if records:
            return Logged(str(records[0]["model"]), path, _sorted(records))
    for path in sorted(storage.glob(f"predictions/*/{day}/*.parquet")):
        records = _rows_in(path, prediction_id)
        if records:
            return Logged(path.parts[-3], path, _sorted(records))
    return None


def _segments(home: Path, storage: Path, made_at: float) -> Iterator[Path]:
    """Segments of predictions that may hold an id of that time, the newest first."""
    for found in (
        home.glob("log/*/*/*.open"),
        home.glob("log/*/*/*.jsonl"),
        storage.glob("segments/*/*.jsonl"),
    ):
        for _, path in sorted(_with_times(found, made_at), reverse=True):
            yield path


def _with_times(paths: Iterable[Path], made_at: float) -> Iterator[tuple[float, Path]]:
    for path in paths:
        # Labels have segments of their own; a temporary file is not whole.
        if LABELS.removesuffix(".jsonl") in path.name or path.name.startswith("."):
            continue
        try:
            written = path.stat().st_mtime
        except FileNotFoundError:
            # Shipped or compacted since it was listed: found there.
            continue
        if written > made_at - SLACK_SECONDS:
            yield written, path


def _records_in(path: Path, prediction_id: str) -> Iterator[dict[str, Any]]:
    """Records of the segment with this id."""
    wanted = prediction_id.encode()
    try:
        stream = path.open("rb")
    except FileNotFoundError:
        return
    with stream:
        if not path.stat().st_size:
            return
        with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
            at = data.find(wanted)
            while at >= 0:
                start, end = data.rfind(b"\n", 0, at) + 1, data.find(b"\n", at)
                if end < 0:
                    # A torn line was never answered for.
                    return
                # The text may stand in an entity or an input too.
                yield from (
                    asdict(record) | {"x": msgspec.json.decode(record.x)}
                    for record in predictions_in(data[start:end])
                    if record.id == prediction_id
                )
                at = data.find(wanted, end)


def _rows_in(path: Path, prediction_id: str) -> list[dict[str, Any]]:
    """Rows of a Parquet file, sorted by id, with this id."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        index = file.schema_arrow.get_field_index("id")
        found: list[dict[str, Any]] = []
        for group in range(file.num_row_groups):
            column = file.metadata.row_group(group).column(index)
            if not _may_hold(column, prediction_id):
                continue
            start, end = _span(
                file.read_row_group(group, columns=["id"]), prediction_id
            )
            if start < end:
                table = file.read_row_group(group, columns=COLUMNS)
                found += table.slice(start, end - start).to_pylist()
    for row in found:
        row |= {"id": prediction_id, "model": path.parts[-3]}
        row["x"] = msgspec.json.decode(row["x"])
    return found


def _span(table: Any, prediction_id: str) -> tuple[int, int]:
    """First row with this id and the row after the last, in a table sorted by it."""
    ids, rows = table.column("id"), range(table.num_rows)

    def at(row: int) -> str:
        # pyarrow's own comparison would import pandas.
        return str(ids[row].as_py())

    return bisect_left(rows, prediction_id, key=at), bisect_right(
        rows, prediction_id, key=at
    )


def _may_hold(column: Any, prediction_id: str) -> bool:
    bounds = column.statistics
    return bounds is None or bool(bounds.min <= prediction_id <= bounds.max)


def _sorted(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(records, key=lambda record: str(record["arm"]) == "shadow")
