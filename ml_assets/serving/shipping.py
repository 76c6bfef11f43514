"""Brings closed segments from a server's own disk to the storage.

A segment ``<home>/log/<model>/<server>/<number>.jsonl`` becomes
``<storage>/segments/<model>/<server>-<number>.jsonl``, and goes locally only when it is
there.
"""

import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from ml_assets.serving.segments import CLOSED, OPEN, close_orphan
from ml_assets.serving.store import ServerLease
from ml_assets.storage import atomic_path, locked, sync_directory


def directory_of(home: Path, model: str, server: str = "") -> Path:
    """Where a server writes the segments of a model."""
    return home / "log" / model / server


def ship(segment: Path, storage: Path) -> Path:
    """Move one closed segment to the storage; what it is there.

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


def ship_all(directory: Path, storage: Path) -> list[Path]:
    """Ship every closed segment of one server, oldest first."""
    found = directory.glob(f"*{CLOSED}") if directory.is_dir() else []
    return [ship(item, storage) for item in sorted(found)]


def adopt(home: Path, storage: Path, model: str) -> list[Path]:
    """Close and ship the segments of `model` whose servers are dead.

    A last line without its newline is cut: its prediction was never answered.

    Parameters
    ----------
    home
        Directory of the local state, in which servers write.
    storage
        Root of the storage, in which servers hold their leases.
    model
        Name of the model.

    Returns
    -------
    list of Path
        The shipped segments.
    """
    shipped: list[Path] = []
    if not any(_orphans(home, storage, model)):
        return shipped
    with locked(directory_of(home, model) / ".lock"):
        for directory in _orphans(home, storage, model):
            for item in sorted(directory.glob(f"*{OPEN}")):
                close_orphan(item)
            shipped += ship_all(directory, storage)
            shutil.rmtree(directory)
    return shipped


def _orphans(home: Path, storage: Path, model: str) -> Iterator[Path]:
    """Directories of servers that hold no lease."""
    directory = directory_of(home, model)
    for item in sorted(directory.iterdir()) if directory.is_dir() else []:
        lease = storage / "servers" / item.name / "lease"
        if item.is_dir() and not ServerLease.is_held(lease):
            yield item
