"""Brings closed segments from a server's own disk to the storage.

A segment ``<home>/log/<model>/<server>/<number>.jsonl`` becomes the object
``segments/<model>/<server>-<number>.jsonl``, and goes locally only when it is there.
"""

import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple, TypeVar

from ml_assets.core.files import is_locked, is_name, locked, sync_directory
from ml_assets.core.storage import Storage, StorageUnavailableError
from ml_assets.prediction_log import unshipped
from ml_assets.serving.log.retired_segment import CLOSED, OPEN, close_orphan

T = TypeVar("T")


class Shipped(NamedTuple):
    """Names of segments that are in the storage now, and why others are not."""

    names: list[str]
    failures: list[OSError]


def directory_of(home: Path, model: str, server: str = "") -> Path:
    """Where a server writes the segments of a model."""
    return home / "log" / model / server


def ship(segment: Path, storage: Storage) -> str:
    """Move one closed segment to the storage; its name there.

    Repeated after a kill or a lost reply it does no harm: the same name gets the same
    content.

    Raises
    ------
    OSError
        If it is not there; it stays here.
    """
    server, model = segment.parent.name, segment.parent.parent.name
    name = f"segments/{model}/{server}-{segment.name}"
    is_there = _is_linked(segment, storage.local(name))
    if not is_there and not storage.create(name, segment.read_bytes()):
        raise FileExistsError(
            f"{name} in the storage {storage.url} is not what {segment} holds"
        )
    segment.unlink()
    return name


def _is_linked(segment: Path, target: Path | None) -> bool:
    """Whether the object is the segment itself now: on one disk nothing is copied."""
    if target is None:
        return False
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        # Read by whom other objects are, while a segment is the server's alone.
        segment.chmod(target.parent.stat().st_mode & 0o666)
        os.link(segment, target)
    except OSError:
        # On another disk, or there before: the storage knows what to do, and to say.
        return False
    sync_directory(target.parent)
    return True


def ship_all(directory: Path, storage: Storage) -> Shipped:
    """Ship every closed segment of one server, oldest first; none waits for another.

    Raises
    ------
    StorageUnavailableError
        If the storage does not answer: no other segment would get there.
    """
    found = sorted(directory.glob(f"*{CLOSED}")) if directory.is_dir() else []
    # What a killed adopter was writing anew is not whole, and stands there besides.
    files = [item for item in found if is_name(item.name) and item.is_file()]
    return Shipped(*_each(lambda item: ship(item, storage), files))


def adopt(home: Path, storage: Storage, model: str) -> Shipped:
    """Close and ship the segments of `model` whose servers are dead.

    A last record without its newline is cut: its prediction was never answered. What
    cannot be closed or shipped stays where it is, and keeps nothing else back.

    Parameters
    ----------
    home
        Directory of this machine, in which servers write and hold their leases.

    Raises
    ------
    StorageUnavailableError
        If the storage does not answer.
    """
    shipped = Shipped([], [])
    if not any(orphans(home, model)):
        return shipped
    with locked(directory_of(home, model) / ".lock"):
        for directory in orphans(home, model):
            _, failures = _each(close_orphan, sorted(directory.glob(f"*{OPEN}")))
            names, failed = ship_all(directory, storage)
            shipped.names.extend(names)
            shipped.failures.extend(failures + failed)
            if not failures + failed:
                shutil.rmtree(directory)
                if not any(home.glob(f"log/*/{directory.name}")):
                    unshipped.withdraw(storage, directory.name)
    return shipped


def orphans(home: Path, model: str) -> Iterator[Path]:
    """Directories of segments of `model` whose servers hold no lease."""
    directory = directory_of(home, model)
    for item in sorted(directory.iterdir()) if directory.is_dir() else []:
        lease = home / "servers" / item.name / "lease"
        if item.is_dir() and not is_locked(lease):
            yield item


def _each(
    step: Callable[[Path], T], paths: Iterable[Path]
) -> tuple[list[T], list[OSError]]:
    """What `step` gives for each path, and the errors of those that it fails for."""
    done, failures = [], []
    for path in paths:
        try:
            done.append(step(path))
        except StorageUnavailableError:
            raise
        except OSError as error:
            failures.append(error)
    return done, failures
