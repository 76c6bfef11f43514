"""The files of the prediction log that count, and the segments that are in them.

A batch is committed in one transaction, after its files were uploaded: they count, and
its segments are compacted, or neither is. A segment that is shipped again later, by a
server that never heard that it was there, is known by its number.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, delete, func, select

from ml_assets.prediction_log.compaction import Batch, LogFile
from ml_assets.prediction_log.segments import Kind, numbered
from ml_assets.state.engine import reading, writing
from ml_assets.state.rows import (
    fields,
    matching,
    parts,
    present,
    read_rows,
    read_value,
    replace,
)
from ml_assets.state.schema import log_files, log_segments

Ranges = list[list[int]]


class Batches:
    """What was compacted of every model's log."""

    def commit(self, model: str, kind: Kind, batch: Batch) -> bool:
        """Let the files of `batch` count, unless one of its segments is in others."""
        by_server = _by_server(batch.segments)
        with writing(f"log {model} {kind}") as connection:
            known = _ranges(connection, model, kind, by_server)
            for server, found in by_server.items():
                if any(_holds(known.get(server, []), number) for number in found):
                    return False
            for server, found in by_server.items():
                numbers = _joined(known.get(server, []), found)
                key = {"model": model, "kind": kind, "server": server}
                replace(connection, log_segments, **key, numbers=numbers)
            for file in batch.files:
                given = file._asdict() | {"model": model, "kind": kind}
                connection.execute(log_files.insert().values(given))
        return True

    def compacted(self, model: str, kind: Kind, segments: Iterable[str]) -> set[str]:
        """Those of `segments` whose content is in a file that counts."""
        names = [*segments]
        with reading() as connection:
            known = _ranges(connection, model, kind, _by_server(names))
        return {
            name
            for name in names
            for server, number in [numbered(name)]
            if _holds(known.get(server, []), number)
        }

    def files(self, model: str, kind: Kind, since: float = 0.0) -> list[LogFile]:
        """Files with a prediction or label of `since` (unix time) or later, by day."""
        rows = log_files.c
        wanted = _files(model=model, kind=kind).where(rows.newest >= since)
        found = read_rows(wanted.order_by(rows.day, rows.name))
        return [LogFile(*row) for row in found]

    def files_of(self, model: str, batch: str) -> list[LogFile]:
        """The files of one batch."""
        return [LogFile(*row) for row in read_rows(_files(batch=batch, model=model))]

    def newest(self, model: str, until: float) -> float:
        """Unix time of the newest prediction of all files that end up to `until`."""
        of_kind = matching(log_files, model=model, kind="predictions")
        newest = log_files.c.newest
        wanted = select(func.max(newest)).where(of_kind, newest <= until)
        return read_value(wanted) or 0.0

    def known(self, names: Iterable[str]) -> set[str]:
        """Those of `names` that are files that count."""
        return present(log_files.c.name, names)

    def remove(self, model: str, names: Sequence[str]) -> None:
        """Let files count no more, before their objects are removed."""
        with writing(f"log {model}") as connection:
            for part in parts(names):
                connection.execute(delete(log_files).where(log_files.c.name.in_(part)))


def _files(**values: Any) -> Any:
    return fields(log_files, LogFile).where(matching(log_files, **values))


def _by_server(segments: Iterable[str]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for server, number in map(numbered, segments):
        found.setdefault(server, []).append(number)
    return found


def _ranges(
    connection: Connection, model: str, kind: Kind, servers: Iterable[str]
) -> dict[str, Ranges]:
    found: dict[str, Ranges] = {}
    for part in parts(servers):
        wanted = select(log_segments.c.server, log_segments.c.numbers).where(
            matching(log_segments, model=model, kind=kind),
            log_segments.c.server.in_(part),
        )
        found |= {server: ranges for server, ranges in connection.execute(wanted)}
    return found


def _holds(ranges: Ranges, number: int) -> bool:
    return any(first <= number <= last for first, last in ranges)


def _joined(ranges: Ranges, numbers: Iterable[int]) -> Ranges:
    """The ranges and the numbers together, as few ranges as there can be.

    Examples
    --------
    >>> _joined([[1, 3], [7, 7]], [4, 9, 6])
    [[1, 4], [6, 7], [9, 9]]
    """
    found: Ranges = []
    for first, last in sorted([*ranges, *([number, number] for number in numbers)]):
        if found and first <= found[-1][1] + 1:
            found[-1][1] = max(last, found[-1][1])
        else:
            found.append([first, last])
    return found
