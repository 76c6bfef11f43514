"""Logged predictions and labels, a day at a time.

A prediction has the columns ``id``, ``time``, ``request``, ``version``, ``arm``,
``generation``, ``entity``, ``p``, ``label``, ``us``, ``error``, ``x`` (the row, as JSON
text in the order of the version's signature), ``probabilities`` (of several classes, in
the signature's order), ``value`` (of a regression) and ``caller`` (who asked, where
keys are needed); a label has ``value`` where it is a number, ``caller``, who handed it
in, and ``own``, whether it counts for that caller's predictions only.
"""

import time
from collections.abc import Collection, Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple

from ml_assets.core.storage import storage
from ml_assets.prediction_log.compaction import LogFile
from ml_assets.state.batches import Batches

if TYPE_CHECKING:
    import pandas as pd

    from ml_assets.prediction_log.labels import Counts

ANSWER = ("id", "entity", "time", "arm", "caller")
JOINED = (
    *ANSWER, "request", "version", "generation", "p", "label", "error", "probabilities",
    "value",
)  # fmt: skip


class Labelled(NamedTuple):
    """Predictions that have a label, and what became of all labels.

    ``rows`` has, beside columns of the log, ``truth`` and ``received``; a prediction
    that a shadow made as well has two rows. They are in the order of ``received``.
    """

    rows: "pd.DataFrame"
    counts: "Counts"


def newest_time(model: str, now: float | None = None) -> float:
    """Unix seconds of the newest prediction up to `now`; 0 where there is none.

    An answer that is dated later was given by a server whose clock was ahead; if it
    ruled a window, none would end before its date. `now` is by default our own clock's.
    """
    now = time.time() if now is None else now
    batches = Batches()
    newest = batches.newest(model, now)
    # Files of a server whose clock is ahead may hold earlier predictions as well.
    for file in batches.files(model, "predictions", now):
        times = _read(file, ["time"], [("time", "<=", now)])["time"]
        newest = max(newest, float(times.max()) if len(times) else 0.0)
    return newest


def predictions(
    model: str,
    columns: Sequence[str],
    since: float = 0.0,
    versions: Collection[str] | None = None,
) -> "Iterator[pd.DataFrame]":
    """Predictions in the order of their ids, one table for each UTC day.

    Parameters
    ----------
    columns : sequence of str
        Of the log; ``time`` and ``id`` are always there.
    since : float
        Unix seconds before which predictions are left out.
    versions : collection of str, optional
        Whose predictions are wanted; all by default.
    """
    filters: list[tuple[str, str, Any]] = [("time", ">=", since)]
    if versions is not None:
        filters.append(("version", "in", sorted(versions)))
    wanted = list(dict.fromkeys(["id", "time", *columns]))
    files = [
        file
        for file in Batches().files(model, "predictions", since)
        if versions is None or {*versions} & {*file.versions}
    ]
    for _, of_day in groupby(files, key=lambda file: file.day):
        rows = _together([_read(file, wanted, filters) for file in of_day], "id")
        if rows is not None:
            yield rows


def labels(model: str, since: float = 0.0) -> "pd.DataFrame":
    """Labels received at or after `since`, in the order in which they came."""
    import pandas as pd

    wanted = ["id", "entity", "time", "label", "received", "caller", "own"]
    files = Batches().files(model, "labels", since)
    parts = [_read(file, wanted, [("received", ">=", since)]) for file in files]
    rows = _together(parts, "received")
    if rows is not None:
        return rows
    return pd.DataFrame({name: pd.Series(dtype=object) for name in wanted})


def labelled(
    model: str,
    since: float,
    versions: Collection[str],
    columns: Sequence[str] = (),
) -> Labelled:
    """Predictions since a time that have a label, of some versions.

    Parameters
    ----------
    since : float
        Unix seconds; earlier predictions are not read.
    versions : collection of str
        Whose predictions are wanted.
    columns : sequence of str
        Of the log, beside those that every task needs.
    """
    import pandas as pd

    from ml_assets.prediction_log.labels import resolve

    wanted = [*JOINED, *columns]
    received = labels(model, since)
    ids, entities = {*received["id"].dropna()}, {*received["entity"].dropna()}
    parts = []
    # An entity is labelled for its latest answer, whichever version gave it.
    for day in predictions(model, wanted, since) if len(received) else ():
        asked = day["id"].isin(ids) | day["entity"].isin(entities)
        parts.append(day[asked])
    if not parts:
        empty = pd.DataFrame(columns=[*wanted, "truth", "received"])
        return Labelled(empty, resolve(received, empty)[1])
    found = pd.concat(parts, ignore_index=True)
    answers = found[found["arm"] != "shadow"]
    joined, counts = resolve(received, answers[list(ANSWER)])
    order = joined.rename(columns={"label": "truth"}).assign(
        position=range(len(joined))
    )
    rows = found[found["version"].isin(versions)].merge(order, on="id", how="inner")
    rows = rows.sort_values(["position", "arm"], kind="stable", ignore_index=True)
    return Labelled(rows.drop(columns="position"), counts)


def _together(parts: "list[pd.DataFrame]", order: str) -> "pd.DataFrame | None":
    import pandas as pd

    parts = [part for part in parts if len(part)]
    if not parts:
        return None
    return pd.concat(parts).sort_values(order, kind="stable", ignore_index=True)


def _read(
    file: LogFile, columns: list[str], filters: list[tuple[str, str, Any]]
) -> "pd.DataFrame":
    from ml_assets.prediction_log.reader import read_table

    with storage().open(file.name) as stream:
        table = read_table(stream, columns, filters)
    frame: pd.DataFrame = table.to_pandas()
    return frame
