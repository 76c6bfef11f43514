"""What servers say is on their own disks alone, so that a loss of it is noticed.

While a server holds segments that are not in the storage, the object
``unshipped/<server>.json`` names them by model; it is written anew every few seconds as
they change, at least once a minute, and removed when all are shipped. Who dies with its
disk leaves it behind.
"""

import datetime as dt
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import msgspec

from ml_assets.core.decoding import from_json
from ml_assets.core.storage import Storage
from ml_assets.prediction_log.segments import LABELS, Kind

PREFIX = "unshipped"
# A server that says nothing for so long is dead, or cut off from the storage.
SILENT_SECONDS = 300.0
# A loss is reported for so long.
REPORTED_DAYS = 7

Names = dict[str, list[str]]


class Missing(NamedTuple):
    """Segments of one model that a silent server began, and that are not shipped."""

    model: str
    kind: Kind
    segments: list[str]


def report(storage: Storage, server: str, segments: Mapping[str, list[str]]) -> None:
    """Say that `segments`, names by model, are on the disk of `server` alone."""
    if segments:
        storage.put(_name(server), msgspec.json.encode(segments))
    else:
        withdraw(storage, server)


def withdraw(storage: Storage, server: str) -> None:
    """All that `server` logged is in the storage."""
    storage.remove([_name(server)])


def missing(storage: Storage) -> Iterator[Missing]:
    """What silent servers reported and the storage does not hold.

    A segment that is compacted by now is among it: ask the database for it after this.
    """
    now = dt.datetime.now(dt.UTC)
    for info in storage.objects(PREFIX):
        silent = (now - info.modified).total_seconds()
        if not SILENT_SECONDS < silent < REPORTED_DAYS * 86_400:
            continue
        # Withdrawn since it was listed where there is none.
        reported = from_json(storage.get(info.name) or b"{}", Names)
        for model, names in reported.items():
            left = [name for name in names if _is_missing(storage, model, name)]
            for kind in ("labels", "predictions"):
                found = [n for n in left if n.endswith(LABELS) == (kind == "labels")]
                if found:
                    yield Missing(model, kind, found)


def forget(storage: Storage) -> None:
    """Remove what is reported no more."""
    before = dt.datetime.now(dt.UTC) - dt.timedelta(days=REPORTED_DAYS)
    old = [info.name for info in storage.objects(PREFIX) if info.modified < before]
    storage.remove(old)


def _is_missing(storage: Storage, model: str, name: str) -> bool:
    return storage.size(f"segments/{model}/{name}") is None


def _name(server: str) -> str:
    return f"{PREFIX}/{server}.json"
