"""Segments as Parquet: predictions by the day of their id, labels as they came.

A batch is what some segments hold. Its files are uploaded under names of their own, and
count when a row of the database names them: see `ml_assets.state.batches`.

What a batch holds was made before the batch was: a time after it is that of a clock
that is ahead, and becomes the time of the batch.
"""

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import uuid4

from ml_assets.core.files import sha256_file
from ml_assets.core.storage import Storage
from ml_assets.prediction_log.segments import (
    Kind,
    LabelRecord,
    PredictionRecord,
    label_text,
    parse,
)

if TYPE_CHECKING:
    import pyarrow as pa

ROW_GROUP = 2**16
# Clocks of machines differ by so much without one of them being wrong.
SKEW_SECONDS = 60.0

Record = PredictionRecord | LabelRecord


class LogFile(NamedTuple):
    """A Parquet file of the log.

    Attributes
    ----------
    name
        Of the object.
    batch
        What was made at once; the files of a batch are of different days.
    day
        UTC day of the ids in it, such as ``2026-11-23``; empty for labels.
    newest
        Unix seconds of its newest prediction, or label.
    versions
        Whose predictions it holds.
    """

    name: str
    batch: str
    day: str
    rows: int
    newest: float
    sha256: str
    versions: list[str]


class Batch(NamedTuple):
    """What some segments hold; ``ahead`` rows had a time that was still to come."""

    segments: list[str]
    files: list[LogFile]
    rows: int
    unreadable: int
    ahead: int


def make_batch(
    storage: Storage, model: str, kind: Kind, segments: Sequence[str]
) -> Batch:
    """Upload the content of some segments as Parquet.

    Predictions go to ``predictions/<model>/<day>/<first>-<last>-<batch>.parquet``, by
    the day of their id and sorted by it, where `first` and `last` are the milliseconds
    of the ids in hexadecimal; labels to ``labels/<model>/<batch>.parquet``.

    Parameters
    ----------
    segments : sequence of str
        Names of objects. The batch is without those that are gone.
    """
    now, batch = time.time(), uuid4().hex
    contents = {name: storage.get(name) for name in segments}
    found = {name: data for name, data in contents.items() if data is not None}
    parsed = parse(found.values(), kind)
    files: list[LogFile] = []
    rows = ahead = 0
    for day, records in sorted(parsed.by_day.items()):
        files.append(_upload(storage, model, batch, day, records, now))
        rows += len(records)
        ahead += sum(_made(record) > now + SKEW_SECONDS for record in records)
    return Batch([*found], files, rows, parsed.unreadable, ahead)


def _upload(
    storage: Storage,
    model: str,
    batch: str,
    day: str,
    records: list[Record],
    now: float,
) -> LogFile:
    import pyarrow.parquet as pq

    table = _table(records, now)
    name = f"labels/{model}/{batch}.parquet"
    versions: list[str] = []
    if day:
        first, last = (_moment(table["id"][row].as_py()) for row in (0, -1))
        name = f"predictions/{model}/{day}/{first}-{last}-{batch}.parquet"
        versions = sorted(table["version"].unique().to_pylist())
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "table.parquet"
        pq.write_table(table, path, row_group_size=ROW_GROUP)
        storage.upload(name, path)
        digest = sha256_file(path)
    newest = min(max(map(_made, records)), now)
    return LogFile(name, batch, day, len(records), newest, digest, versions)


def _moment(prediction_id: str) -> str:
    """The milliseconds of a UUIDv7, as 12 hexadecimal digits that sort by time."""
    return prediction_id[:8] + prediction_id[9:13]


def may_hold(name: str, prediction_id: str) -> bool:
    """Whether a file may hold an id, by its name; one of an older release always may.

    Examples
    --------
    >>> name = "predictions/m/2025-11-23/019aae2fa000-019aae2fafff-0f.parquet"
    >>> may_hold(name, "019aae2f-a001-7000-8000-000000000000")
    True
    >>> may_hold(name, "019aae2f-b000-7000-8000-000000000000")
    False
    """
    first, _, rest = name.rpartition("/")[2].partition("-")
    last, separator, _ = rest.partition("-")
    return not separator or first <= _moment(prediction_id) <= last


def _made(record: Record) -> float:
    return record.time if isinstance(record, PredictionRecord) else record.received


def _table(lines: Sequence[Record], now: float) -> "pa.Table":
    predictions = [item for item in lines if isinstance(item, PredictionRecord)]
    if predictions:
        return _predictions(predictions, now)
    return _labels([item for item in lines if isinstance(item, LabelRecord)], now)


def _predictions(lines: list[PredictionRecord], now: float) -> "pa.Table":
    import pyarrow as pa

    # A shadow's line follows that of the answer it doubles.
    lines.sort(key=lambda line: (line.id, line.arm == "shadow"))
    columns: dict[str, tuple[Any, Any]] = {
        "id": ([line.id for line in lines], pa.string()),
        "time": ([min(line.time, now) for line in lines], pa.float64()),
        "request": ([line.request for line in lines], pa.string()),
        "version": ([line.version for line in lines], pa.string()),
        "arm": ([line.arm for line in lines], pa.string()),
        "generation": ([line.generation for line in lines], pa.int64()),
        "entity": ([line.entity for line in lines], pa.string()),
        "p": ([line.p for line in lines], pa.float64()),
        "label": ([_text(line.label) for line in lines], pa.string()),
        "us": ([line.us for line in lines], pa.int64()),
        "error": ([line.error for line in lines], pa.string()),
        "x": ([bytes(line.x).decode() for line in lines], pa.string()),
        "probabilities": (
            [line.probabilities for line in lines],
            pa.list_(pa.float64()),
        ),
        "value": ([line.value for line in lines], pa.float64()),
        "caller": ([line.caller for line in lines], pa.string()),
    }
    return pa.table({name: pa.array(*given) for name, given in columns.items()})


def _labels(lines: list[LabelRecord], now: float) -> "pa.Table":
    import pyarrow as pa

    columns: dict[str, tuple[Any, Any]] = {
        "id": ([line.id for line in lines], pa.string()),
        "entity": ([line.entity for line in lines], pa.string()),
        "time": ([line.time for line in lines], pa.float64()),
        "label": ([_text(line.label) for line in lines], pa.string()),
        "value": ([_number(line.label) for line in lines], pa.float64()),
        "received": ([min(line.received, now) for line in lines], pa.float64()),
        "caller": ([line.caller for line in lines], pa.string()),
        "own": ([line.own for line in lines], pa.bool_()),
    }
    return pa.table({name: pa.array(*given) for name, given in columns.items()})


def _text(label: Any) -> str | None:
    return None if label is None else label_text(label)


def _number(label: Any) -> float | None:
    """A label that is a number: what turned out of a regression, without rounding."""
    is_number = isinstance(label, int | float) and not isinstance(label, bool)
    return float(label) if is_number else None
