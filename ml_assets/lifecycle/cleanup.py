"""Removing what nothing needs, by the decision of `ml_assets.lifecycle.retention`.

Under the deployer's lock, so that no plan becomes active meanwhile and two cleanups
follow each other. Each step is repeated by the next cleanup if this one is killed.
"""

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from ml_assets.core.files import below, locked, read_json, storage_root
from ml_assets.lifecycle.retention import Deletion, Kind, plan_retention
from ml_assets.lifecycle.storage_snapshot import pointers_of, take_snapshot
from ml_assets.spec.operation import RetentionSpec
from ml_assets.state.registry import Registry, RegistryError
from ml_assets.state.versions import Versions
from ml_assets.targets import Target

REFERRING: tuple[Kind, ...] = ("predictions", "labels", "version")
REFERRED: tuple[Kind, ...] = ("pointer", "table", "report", "steps", "leftover")


class Cleaned(NamedTuple):
    """What was removed, or would be in a dry run, its bytes, and what was put off."""

    deletions: list[Deletion]
    bytes: int
    postponed: list[str]
    dry_run: bool


class _PutOff(Exception):
    """Not now."""


def clean(
    target: Target, model: str, policy: RetentionSpec, now: float, dry_run: bool = False
) -> Cleaned:
    """Remove what nothing needs any more of `model`; in a dry run, only list it.

    Parameters
    ----------
    now : float
        Unix seconds.
    """
    with target.lock(model):
        snapshot = take_snapshot(target, model, policy, now)
        if dry_run:
            planned = plan_retention(snapshot, policy, now)
            size = sum(_weight(model, item) for item in planned)
            return Cleaned(planned, size, [], dry_run)
        cleanup = _Cleanup(model)
        for kinds in (REFERRING, REFERRED):
            for item in plan_retention(snapshot, policy, now):
                if item.kind in kinds:
                    cleanup.remove(item)
            # What a version needs that is still there must stay as well.
            on_hold = snapshot.on_hold | cleanup.kept
            snapshot = dataclasses.replace(snapshot, on_hold=on_hold)
    return Cleaned(cleanup.done, cleanup.size, cleanup.postponed, dry_run)


class _Cleanup:
    """Removes item after item, and remembers what came of each."""

    def __init__(self, model: str) -> None:
        self.model = model
        self.done: list[Deletion] = []
        self.postponed: list[str] = []
        self.kept: frozenset[str] = frozenset()
        self.size = 0

    def remove(self, item: Deletion) -> None:
        """Remove one item, or note why not now."""
        weight = _weight(self.model, item)
        try:
            REMOVERS[item.kind](self.model, item.name, _paths(self.model, item))
        except _PutOff as reason:
            self.postponed.append(f"{item.kind} {item.name}: {reason}")
            if item.kind == "version":
                self.kept |= {item.name}
            return
        self.done.append(item)
        self.size += weight


def _weight(model: str, item: Deletion) -> int:
    return sum(_size(path) for path in _paths(model, item))


def _paths(model: str, item: Deletion) -> list[Path]:
    """Files and directories that make up an item, in the order in which they go."""
    root = storage_root()
    if item.kind == "predictions":
        directory = root / "predictions" / model
        manifest = directory / "batches" / f"{item.name}.json"
        return [manifest, *sorted(directory.glob(f"????-??-??/{item.name}.parquet"))]
    if item.kind == "labels":
        path = root / item.name
        return [path.parent / "batches" / f"{path.stem}.json", path]
    if item.kind == "version":
        return [root / "versions" / model / item.name]
    if item.kind in ("table", "pointer"):
        stage, _, name = item.name.partition("/")
        directory = root / "tables" / model / stage
        is_table = item.kind == "table"
        tail = f"{name}.parquet" if is_table else f"runs/{name}.json"
        return [directory / tail]
    return [root / item.name]


def _remove(model: str, name: str, paths: list[Path]) -> None:
    for path in paths:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _remove_batch(model: str, name: str, paths: list[Path]) -> None:
    manifest = paths[0]
    with locked(manifest.parents[1] / ".lock"):
        segments = (read_json(manifest) or {"segments": []})["segments"]
        directory = storage_root() / "segments" / model
        if any((directory / segment).exists() for segment in segments):
            # Without its manifest, a segment would be compacted once more.
            raise _PutOff("its segments are still there; they go with a compaction")
        _remove(model, name, paths)


def _remove_version(model: str, name: str, paths: list[Path]) -> None:
    record = Versions().get(model, name)
    try:
        Registry().remove(model, record.registry_version, record.registry_uri)
    except RegistryError as error:
        raise _PutOff(str(error)) from error
    # The row goes first: without it the version does not exist.
    Versions().remove(model, name)
    _remove(model, name, paths)


def _remove_table(model: str, name: str, paths: list[Path]) -> None:
    (path,) = paths
    # A run that finds the table points at it under this lock.
    with locked(path.parent / ".lock"):
        if path.stem in pointers_of(path.parent):
            raise _PutOff("a run took it up")
        _remove(model, name, paths)


def _remove_leftover(model: str, name: str, paths: list[Path]) -> None:
    (path,) = paths
    if path.parent == below(storage_root() / "versions", model):
        # A training that died after it was registered has left it there, too; without
        # the reserved name nobody would know that it is ours.
        try:
            Registry().discard(model, path.name)
        except RegistryError as error:
            raise _PutOff(str(error)) from error
        Versions().remove(model, path.name)
    _remove(model, name, paths)


REMOVERS: dict[Kind, Callable[[str, str, list[Path]], None]] = {
    "predictions": _remove_batch,
    "labels": _remove_batch,
    "version": _remove_version,
    "pointer": _remove,
    "table": _remove_table,
    "report": _remove,
    "steps": _remove,
    "leftover": _remove_leftover,
}


def _size(path: Path) -> int:
    if path.is_dir():
        return sum(item.lstat().st_size for item in path.rglob("*") if item.is_file())
    return path.lstat().st_size if path.exists() else 0
