"""Reading logged predictions and labels, a day at a time.

A prediction has the columns ``id``, ``time``, ``request``, ``version``, ``arm``,
``generation``, ``entity``, ``p``, ``label``, ``us``, ``error`` and ``x`` (the row, as
JSON text in the order of the version's signature).
"""

import time
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from ml_assets.core.files import below
from ml_assets.prediction_log.segments import day_at
from ml_assets.records.plan import Signature

if TYPE_CHECKING:
    import pandas as pd

    from ml_assets.prediction_log.labels import Counts

# By batch; what a killed writer left begins with a dot.
FILES = "[0-9a-f]*.parquet"
ANSWER = ("id", "entity", "time", "arm")
JOINED = (*ANSWER, "request", "version", "generation", "p", "label", "error")


class Labelled(NamedTuple):
    """Predictions that have a label, and what became of all labels.

    ``rows`` has, beside columns of the log, ``truth`` and ``received``; a prediction
    that a shadow made as well has two rows. They are in the order of ``received``.
    """

    rows: "pd.DataFrame"
    counts: "Counts"


def days(root: Path, model: str, since: float = 0.0) -> list[str]:
    """UTC days of which there are predictions, from the day of `since` on, sorted."""
    directory = below(root / "predictions", model)
    first = day_at(since)
    found = {path.parent.name for path in directory.glob(f"????-??-??/{FILES}")}
    return sorted(day for day in found if day >= first)


def newest_time(root: Path, model: str, now: float | None = None) -> float:
    """Unix seconds of the newest prediction up to `now`; 0 where there is none.

    An answer that is dated later was given by a server whose clock was ahead; if it
    ruled a window, none would end before its date. `now` is by default our own clock's.
    """
    now = time.time() if now is None else now
    newest, today = 0.0, day_at(now)
    for day in reversed(days(root, model)):
        found = [_newest_in(path, now) for path in _files(root, model, day)]
        newest = max([newest, *found])
        # A day that is still to come may hold answers of today.
        if newest and day <= today:
            break
    return newest


def _newest_in(path: Path, now: float) -> float:
    times = _read(path, ["time"], [("time", "<=", now)])["time"]
    return float(times.max()) if len(times) else 0.0


def predictions(
    root: Path,
    model: str,
    columns: Sequence[str],
    since: float = 0.0,
    versions: Collection[str] | None = None,
) -> "Iterator[pd.DataFrame]":
    """Predictions in the order of their ids, one table for each UTC day.

    Parameters
    ----------
    root : Path
        Of the storage.
    model : str
    columns : sequence of str
        Of the log; ``time`` and ``id`` are always there.
    since : float
        Unix seconds before which predictions are left out.
    versions : collection of str, optional
        Whose predictions are wanted; all by default.
    """
    import pandas as pd

    filters: list[tuple[str, str, Any]] = [("time", ">=", since)]
    if versions is not None:
        filters.append(("version", "in", sorted(versions)))
    wanted = list(dict.fromkeys(["id", "time", *columns]))
    for day in days(root, model, since):
        paths = _files(root, model, day)
        parts = [_read(path, wanted, filters) for path in paths]
        parts = [part for part in parts if len(part)]
        if parts:
            yield pd.concat(parts).sort_values("id", kind="stable", ignore_index=True)


def labels(root: Path, model: str, since: float = 0.0) -> "pd.DataFrame":
    """Labels received at or after `since`, in the order in which they came."""
    import pandas as pd

    wanted = ["id", "entity", "time", "label", "received"]
    paths = sorted(below(root / "labels", model).glob(FILES))
    parts = [_read(path, wanted, [("received", ">=", since)]) for path in paths]
    parts = [part for part in parts if len(part)]
    if not parts:
        return pd.DataFrame({name: pd.Series(dtype=object) for name in wanted})
    return pd.concat(parts).sort_values("received", kind="stable", ignore_index=True)


def labelled(
    root: Path, model: str, since: float, versions: Collection[str]
) -> Labelled:
    """Predictions since a time that have a label, of some versions.

    Parameters
    ----------
    root : Path
        Of the storage.
    model : str
    since : float
        Unix seconds; earlier predictions are not read.
    versions : collection of str
        Whose predictions are wanted.
    """
    import pandas as pd

    from ml_assets.prediction_log.labels import resolve

    received = labels(root, model, since)
    ids, entities = {*received["id"].dropna()}, {*received["entity"].dropna()}
    parts = []
    # An entity is labelled for its latest answer, whichever version gave it.
    for day in predictions(root, model, JOINED, since) if len(received) else ():
        asked = day["id"].isin(ids) | day["entity"].isin(entities)
        parts.append(day[asked])
    if not parts:
        empty = pd.DataFrame(columns=[*JOINED, "truth", "received"])
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


def inputs(texts: Sequence[str], signature: Signature) -> "pd.DataFrame":
    """The rows that the column ``x`` holds, typed by the signature."""
    import pandas as pd

    decode = msgspec.json.Decoder(list[Any]).decode
    rows = [decode(text) for text in texts]
    frame = pd.DataFrame(rows, columns=[item.name for item in signature.columns])
    for column in signature.columns:
        if column.kind in ("number", "integer"):
            frame[column.name] = frame[column.name].astype("float64")
    return frame


def signature_of(root: Path, bundle: str) -> Signature:
    """The request schema of a version, by the directory of its bundle."""
    data = (root / bundle / "signature.json").read_bytes()
    return msgspec.json.decode(data, type=Signature)


def _files(root: Path, model: str, day: str) -> list[Path]:
    return sorted((root / "predictions" / model / day).glob(FILES))


def _read(
    path: Path, columns: list[str], filters: list[tuple[str, str, Any]]
) -> "pd.DataFrame":
    import pyarrow.parquet as pq

    frame: pd.DataFrame = pq.read_table(
        path, columns=columns, filters=filters, partitioning=None
    ).to_pandas()
    return frame
