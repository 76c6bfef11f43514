"""Segments become Parquet, each line exactly once, whenever the process is killed.

The files of a batch are uploaded first, then they are committed together with the
numbers of its segments, and only then do its segments go. Who is killed before the
commit leaves files that do not count, which retention removes; who is killed after it
leaves segments that the next compaction only removes. Of two that compact the same
segments at once, one commits.
"""

from collections.abc import Iterator
from typing import NamedTuple

from ml_assets.core.storage import Info, storage
from ml_assets.prediction_log.compaction import make_batch
from ml_assets.prediction_log.segments import Kind, waiting
from ml_assets.state.batches import Batches

# Segments that are read into memory at once.
BATCH_BYTES = 128 * 2**20


class Compacted(NamedTuple):
    """What a compaction did; ``ahead`` rows had a time that was still to come."""

    segments: int = 0
    rows: int = 0
    unreadable: int = 0
    files: tuple[str, ...] = ()
    ahead: int = 0


def compact(model: str, kind: Kind) -> Compacted:
    """Turn every shipped segment of one kind into Parquet.

    Predictions go to ``predictions/<model>/<day>``, by the day of their id and sorted
    by it; labels to ``labels/<model>`` in the order in which they came.
    """
    done = Compacted()
    store, batches = storage(), Batches()
    shipped = sorted(waiting(store, model, kind))
    for part in _parts(shipped):
        names = [info.name for info in part]
        compacted = batches.compacted(model, kind, names)
        left = [name for name in names if name not in compacted]
        while left:
            batch = make_batch(store, model, kind, left)
            if batches.commit(model, kind, batch):
                files = tuple(file.name for file in batch.files)
                done = Compacted(
                    done.segments + len(batch.segments),
                    done.rows + batch.rows,
                    done.unreadable + batch.unreadable,
                    done.files + files,
                    done.ahead + batch.ahead,
                )
                break
            # Another compaction was first with some of them.
            store.remove([file.name for file in batch.files])
            compacted = batches.compacted(model, kind, left)
            left = [name for name in left if name not in compacted]
        store.remove(names)
    return done


def _parts(segments: list[Info]) -> Iterator[list[Info]]:
    """Segments that fit into memory together, at least one at a time."""
    part: list[Info] = []
    size = 0
    for info in segments:
        if part and size + info.size > BATCH_BYTES:
            yield part
            part, size = [], 0
        part.append(info)
        size += info.size
    if part:
        yield part
