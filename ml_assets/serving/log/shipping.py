"""Brings closed segments from a server's own disk to the storage.

A segment ``<home>/log/<model>/<server>/<number>.jsonl`` becomes
``<storage>/segments/<model>/<server>-<number>.jsonl``, and goes locally only when it is
there.
"""

import errno
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple, TypeVar

from ml_assets.core.files import (
    atomic_path,
    is_locked,
    is_name,
    locked,
    sync_directory,
)
from ml_assets.serving.log.retired_segment import CLOSED, OPEN, close_orphan

T = TypeVar("T")


class Shipped(NamedTuple):
    """Segments that are in the storage now, and why others are not."""

    paths: list[Path]
    failures: list[OSError]


def directory_of(home: Path, model: str, server: str = "") -> Path:
    """Where a server writes the segments of a model."""
    return home / "log" / model / server


def ship(segment: Path, storage: Path) -> Path:
    """Move one closed segment to the storage; its path there.

    Repeated after a kill it does no harm: the same name gets the same content.
    """
    server = segment.parent.name
    model = segment.parent.parent.name
    target = storage / "segments" / model / f"{server}-{segment.name}"
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.rename(segment, target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        with atomic_path(target) as temporary:
            shutil.copyfile(segment, temporary)
        segment.unlink()
    else:
        sync_directory(target.parent)
    return target


def ship_all(directory: Path, storage: Path) -> Shipped:
    """Ship every closed segment of one server, oldest first; none waits for another."""
    found = sorted(directory.glob(f"*{CLOSED}")) if directory.is_dir() else []
    # What a killed adopter was writing anew is not whole, and stands there besides.
    files = [item for item in found if is_name(item.name) and item.is_file()]
    return Shipped(*_each(lambda item: ship(item, storage), files))


def adopt(home: Path, storage: Path, model: str) -> Shipped:
    """Close and ship the segments of `model` whose servers are dead.

    A last record without its newline is cut: its prediction was never answered. What
    cannot be closed or shipped stays where it is, and keeps nothing else back.

    Parameters
    ----------
    home
        Directory of the local state, in which servers write.
    storage
        Root of the storage, in which servers hold their leases.
    model
        Name of the model.
    """
    shipped = Shipped([], [])
    if not any(_orphans(home, storage, model)):
        return shipped
    with locked(directory_of(home, model) / ".lock"):
        for directory in _orphans(home, storage, model):
            _, failures = _each(close_orphan, sorted(directory.glob(f"*{OPEN}")))
            paths, unshipped = ship_all(directory, storage)
            shipped.paths.extend(paths)
            shipped.failures.extend(failures + unshipped)
            if not failures + unshipped:
                shutil.rmtree(directory)
    return shipped


def _each(
    step: Callable[[Path], T], paths: Iterable[Path]
) -> tuple[list[T], list[OSError]]:
    """What `step` gives for each path, and the errors of those that it fails for."""
    done, failures = [], []
    for path in paths:
        try:
            done.append(step(path))
        except OSError as error:
            failures.append(error)
    return done, failures


def _orphans(home: Path, storage: Path, model: str) -> Iterator[Path]:
    """Directories of servers that hold no lease."""
    directory = directory_of(home, model)
    for item in sorted(directory.iterdir()) if directory.is_dir() else []:
        lease = storage / "servers" / item.name / "lease"
        if item.is_dir() and not is_locked(lease):
            yield item
