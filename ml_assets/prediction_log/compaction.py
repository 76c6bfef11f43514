"""Segments become Parquet, each line exactly once, whenever the process is killed.

A batch is some segments. It is recorded first (``batches/pending.json``), then its
files are written, then its manifest, and only then do its segments go. What is repeated
after a kill is the very same batch, whose files have the same names and the same
content; a segment that a manifest names is only removed.

What a batch holds was made before the batch was: a time after it is that of a clock
that is ahead, and becomes the time of the batch.
"""

import hashlib
import json
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ml_assets.core.files import (
    atomic_path,
    create_bytes,
    locked,
    read_json,
    sha256_file,
    write_json,
)
from ml_assets.prediction_log.segments import (
    Kind,
    LabelRecord,
    PredictionRecord,
    label_text,
    parse,
    waiting,
)

if TYPE_CHECKING:
    import pyarrow as pa

# Segments that are read into memory at once.
BATCH_BYTES = 128 * 2**20
ROW_GROUP = 2**16
# Clocks of machines differ by so much without one of them being wrong.
SKEW_SECONDS = 60.0


class PendingBatch(NamedTuple):
    """A batch that is being made: its segments, and when it was begun (unix time)."""

    segments: list[str]
    begun: float


class Compacted(NamedTuple):
    """What a compaction did; ``ahead`` rows had a time that was still to come."""

    segments: int = 0
    rows: int = 0
    unreadable: int = 0
    files: tuple[str, ...] = ()
    ahead: int = 0

    def plus(self, other: "Compacted") -> "Compacted":
        """Both together."""
        return Compacted(
            self.segments + other.segments,
            self.rows + other.rows,
            self.unreadable + other.unreadable,
            self.files + other.files,
            self.ahead + other.ahead,
        )


def compact(root: Path, model: str, kind: Kind) -> Compacted:
    """Turn every shipped segment of one kind into Parquet.

    Predictions go to ``predictions/<model>/<day>/<batch>.parquet``, by the day of their
    id and sorted by it; labels to ``labels/<model>/<batch>.parquet`` in the order in
    which they came.

    Parameters
    ----------
    root : Path
        Of the storage.
    """
    directory = root / kind / model
    done = Compacted()
    if not waiting(root, model, kind):
        return done
    with locked(directory / ".lock"):
        _remove(root, model, _named(directory) & {*waiting(root, model, kind)})
        while (batch := _next_batch(root, model, kind)).segments:
            found = _compact(root, model, kind, batch)
            done = done.plus(found)
    return done


def batch_of(names: Iterable[str]) -> str:
    """The name of the batch that some segments make."""
    return hashlib.sha256("\n".join(sorted(names)).encode()).hexdigest()[:16]


def pending(directory: Path) -> PendingBatch:
    """The batch of `directory` that was begun; without segments where there is none."""
    path = directory / "batches" / "pending.json"
    found = read_json(path)
    if isinstance(found, list):
        # An older release recorded the segments alone.
        return PendingBatch(found, path.stat().st_mtime)
    return PendingBatch(**found) if found else PendingBatch([], time.time())


def _named(directory: Path) -> set[str]:
    """Segments that a manifest names."""
    manifests = (read_json(path) for path in _manifests(directory))
    return {name for manifest in manifests for name in manifest["segments"]}


def _manifests(directory: Path) -> list[Path]:
    # Neither the pending batch nor what a killed writer left.
    return sorted((directory / "batches").glob("[0-9a-f]*.json"))


def _next_batch(root: Path, model: str, kind: Kind) -> PendingBatch:
    """The batch that a killed process began, else the next one; empty at the end."""
    directory = root / kind / model
    path = directory / "batches" / "pending.json"
    names = waiting(root, model, kind)
    batch = pending(directory)
    if batch.segments and {*batch.segments} <= {*names}:
        return batch
    name = batch_of(batch.segments)
    if batch.segments and not (directory / "batches" / f"{name}.json").exists():
        # A segment was removed by hand: what was written of the batch would stay.
        for orphan in directory.rglob(f"{name}.parquet"):
            orphan.unlink()
    batch = PendingBatch(_up_to(root / "segments" / model, names), time.time())
    if batch.segments:
        write_json(path, batch._asdict())
    else:
        path.unlink(missing_ok=True)
    return batch


def _up_to(directory: Path, names: Sequence[str]) -> list[str]:
    chosen: list[str] = []
    size = 0
    for name in names:
        size += (directory / name).stat().st_size
        if chosen and size > BATCH_BYTES:
            break
        chosen.append(name)
    return chosen


def _compact(root: Path, model: str, kind: Kind, batch: PendingBatch) -> Compacted:
    import pyarrow.parquet as pq

    names = batch.segments
    directory, name = root / kind / model, batch_of(names)
    parsed = parse([root / "segments" / model / item for item in names], kind)
    files: dict[str, str] = {}
    rows = ahead = 0
    for day, lines in sorted(parsed.by_day.items()):
        path = directory / day / f"{name}.parquet"
        with atomic_path(path) as temporary:
            table = _table(lines, batch.begun)
            pq.write_table(table, temporary, row_group_size=ROW_GROUP)
        files[path.relative_to(root).as_posix()] = sha256_file(path)
        rows += len(lines)
        ahead += sum(_made(line) > batch.begun + SKEW_SECONDS for line in lines)
    manifest = {
        "segments": names,
        "files": files,
        "rows": rows,
        "unreadable": parsed.unreadable,
    }
    text = json.dumps(manifest, indent=2, sort_keys=True).encode() + b"\n"
    create_bytes(directory / "batches" / f"{name}.json", text)
    _remove(root, model, names)
    return Compacted(len(names), rows, parsed.unreadable, tuple(files), ahead)


def _made(line: PredictionRecord | LabelRecord) -> float:
    return line.time if isinstance(line, PredictionRecord) else line.received


def _remove(root: Path, model: str, names: Iterable[str]) -> None:
    for name in names:
        (root / "segments" / model / name).unlink(missing_ok=True)


def _table(lines: Sequence[PredictionRecord | LabelRecord], now: float) -> "pa.Table":
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
    }
    return pa.table({name: pa.array(*given) for name, given in columns.items()})


def _labels(lines: list[LabelRecord], now: float) -> "pa.Table":
    import pyarrow as pa

    columns: dict[str, tuple[Any, Any]] = {
        "id": ([line.id for line in lines], pa.string()),
        "entity": ([line.entity for line in lines], pa.string()),
        "time": ([line.time for line in lines], pa.float64()),
        "label": ([_text(line.label) for line in lines], pa.string()),
        "received": ([min(line.received, now) for line in lines], pa.float64()),
    }
    return pa.table({name: pa.array(*given) for name, given in columns.items()})


def _text(label: Any) -> str | None:
    return None if label is None else label_text(label)
