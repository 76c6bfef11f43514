"""One prediction by its id, wherever the log has it by now.

A record moves from the server's open segment to a shipped one and from there to
Parquet; it is searched in that order, so that one that moves meanwhile is not missed.
"""

import contextlib
import mmap
import time
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from msgspec.structs import asdict

from ml_assets.core.storage import Storage
from ml_assets.prediction_log.compaction import may_hold
from ml_assets.prediction_log.segments import (
    LABELS,
    day_of,
    predictions_in,
    timestamp_of,
    waiting,
)

# A file that was last written so long before the id was made does not hold it. Clocks
# of machines differ.
SLACK_SECONDS = 300.0
COLUMNS = (
    "time request version arm generation entity p label us error x probabilities value"
    " caller"
).split()
# The storage is asked about so many models at once.
THREADS = 16


class Logged(NamedTuple):
    """The records of one id: the answer's first, then that of a shadow, if any.

    ``where`` is the path of a file of this machine, or the name of an object.
    """

    model: str
    where: str
    records: list[dict[str, Any]]


def find(
    home: Path, storage: Storage, prediction_id: str, models: Sequence[str] = ()
) -> Logged | None:
    """The prediction `prediction_id`; None where no log has it.

    Parameters
    ----------
    models : sequence of str, optional
        Only in the logs of these in the storage; in all by default.

    Raises
    ------
    ValueError
        If it is no UUIDv7.
    """
    made_at, day = timestamp_of(prediction_id), day_of(prediction_id)
    if made_at > time.time():
        # By a clock that is ahead: nobody knows when.
        made_at = 0.0
    for path in _local_segments(home, made_at):
        found = _logged(str(path), _records_of(path, prediction_id))
        if found is not None:
            return found
    for prefix, asked in (
        ("segments", partial(_in_segments, storage, prediction_id, made_at)),
        ("predictions", partial(_in_files, storage, prediction_id, day)),
    ):
        with ThreadPoolExecutor(THREADS) as pool:
            for found in pool.map(asked, models or storage.children(prefix)):
                if found is not None:
                    return found
    return None


def _in_segments(
    storage: Storage, prediction_id: str, made_at: float, model: str
) -> Logged | None:
    shipped = [
        (info.modified, info.name)
        for info in waiting(storage, model, "predictions")
        if info.modified.timestamp() > made_at - SLACK_SECONDS
    ]
    # What was shipped next after it was made is the likeliest.
    for _, name in sorted(shipped):
        # One that is compacted since it was listed is found there.
        data = storage.get(name) or b""
        found = _logged(name, _records_in(data, prediction_id))
        if found is not None:
            return found
    return None


def _in_files(
    storage: Storage, prediction_id: str, day: str, model: str
) -> Logged | None:
    for info in storage.objects(f"predictions/{model}/{day}"):
        if may_hold(info.name, prediction_id):
            # One that has expired since it was listed is gone.
            with contextlib.suppress(FileNotFoundError):
                rows = _rows_in(storage, info.name, prediction_id)
                found = _logged(info.name, ({"model": model} | row for row in rows))
                if found is not None:
                    return found
    return None


def _logged(where: str, records: Iterable[dict[str, Any]]) -> Logged | None:
    found = sorted(records, key=lambda record: str(record["arm"]) == "shadow")
    return Logged(str(found[0]["model"]), where, found) if found else None


def _local_segments(home: Path, made_at: float) -> Iterator[Path]:
    """Segments of predictions that may hold an id of that time, the newest first."""
    for ending in ("open", "jsonl"):
        found = home.glob(f"log/*/*/*.{ending}")
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
            # Shipped since it was listed: found there.
            continue
        if written > made_at - SLACK_SECONDS:
            yield written, path


def _records_of(path: Path, prediction_id: str) -> Iterator[dict[str, Any]]:
    try:
        stream = path.open("rb")
    except FileNotFoundError:
        return
    with stream:
        if path.stat().st_size:
            with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
                yield from _records_in(data, prediction_id)


def _records_in(
    data: "bytes | mmap.mmap", prediction_id: str
) -> Iterator[dict[str, Any]]:
    """Records of a segment with this id."""
    wanted = prediction_id.encode()
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


def _rows_in(storage: Storage, name: str, prediction_id: str) -> list[dict[str, Any]]:
    """Rows of a Parquet file, sorted by id, with this id."""
    import pyarrow.parquet as pq

    found: list[dict[str, Any]] = []
    with storage.open(name) as stream, pq.ParquetFile(stream) as file:
        index = file.schema_arrow.get_field_index("id")
        for group in range(file.num_row_groups):
            bounds = file.metadata.row_group(group).column(index).statistics
            if bounds is not None and not bounds.min <= prediction_id <= bounds.max:
                continue
            start, end = _span(
                file.read_row_group(group, columns=["id"]), prediction_id
            )
            if start < end:
                table = file.read_row_group(group, columns=COLUMNS)
                found += table.slice(start, end - start).to_pylist()
    return [
        row | {"id": prediction_id, "x": msgspec.json.decode(row["x"])} for row in found
    ]


def _span(table: Any, prediction_id: str) -> tuple[int, int]:
    """First row with this id and the row after the last, in a table sorted by it."""
    ids, rows = table.column("id"), range(table.num_rows)

    def at(row: int) -> str:
        # pyarrow's own comparison would import pandas.
        return str(ids[row].as_py())

    return bisect_left(rows, prediction_id, key=at), bisect_right(
        rows, prediction_id, key=at
    )
