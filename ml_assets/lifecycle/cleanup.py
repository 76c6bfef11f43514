"""Removing what nothing needs, by the decision of `ml_assets.lifecycle.retention`.

Under the deployer's lock, so that no plan becomes active meanwhile and two cleanups
follow each other. A row goes before the objects that it names. Each step is repeated by
the next cleanup if this one is killed.
"""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

from ml_assets.core.files import is_name
from ml_assets.core.storage import storage
from ml_assets.lifecycle.retention import Deletion, Kind, plan_retention
from ml_assets.lifecycle.storage_snapshot import take_snapshot
from ml_assets.spec.operation import RetentionSpec
from ml_assets.state import drift_reports
from ml_assets.state.batches import Batches
from ml_assets.state.drift_reports import DriftReports
from ml_assets.state.registry import Registry, RegistryError
from ml_assets.state.steps import StepValues
from ml_assets.state.tables import Tables, table_name
from ml_assets.state.validations import Validations, validation_prefix
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
        snapshot = take_snapshot(model, now)
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
            REMOVERS[item.kind](self.model, item.name)
        except _PutOff as reason:
            self.postponed.append(f"{item.kind} {item.name}: {reason}")
            if item.kind == "version":
                self.kept |= {item.name}
            return
        self.done.append(item)
        self.size += weight


def _weight(model: str, item: Deletion) -> int:
    """Bytes of the objects that make up an item; a row counts nothing."""
    if item.kind == "version":
        return _size_below(f"versions/{model}/{item.name}")
    if item.kind == "leftover" and _is_version(item.name):
        return _size_below(item.name)
    return sum(storage().size(name) or 0 for name in _objects(model, item))


def _objects(model: str, item: Deletion) -> list[str]:
    if item.kind == "table":
        return [table_name(model, *item.name.split("/"))]
    if item.kind == "predictions":
        return [file.name for file in Batches().files_of(model, item.name)]
    is_object = item.kind in ("labels", "report", "leftover")
    # A part that a killed writer left has another name than an object.
    return [item.name] if is_object and is_name(item.name.rpartition("/")[2]) else []


def _is_version(leftover: str) -> bool:
    return leftover.startswith("versions/") and leftover.count("/") == 2


def _size_below(prefix: str) -> int:
    return sum(info.size for info in storage().objects(prefix))


def _remove_below(prefix: str) -> None:
    storage().remove([info.name for info in storage().objects(prefix)])


def _remove_log_files(model: str, names: list[str]) -> None:
    # Without its row a file does not count.
    Batches().remove(model, names)
    storage().remove(names)


def _remove_version(model: str, name: str) -> None:
    record = Versions().get(model, name)
    try:
        Registry().remove(model, record.registry_version, record.registry_uri)
    except RegistryError as error:
        raise _PutOff(str(error)) from error
    Versions().remove(model, name)
    _remove_below(f"versions/{model}/{name}")


def _remove_table(model: str, name: str) -> None:
    if not Tables().remove(model, *name.split("/")):
        raise _PutOff("a run took it up")


def _remove_report(model: str, name: str) -> None:
    report = name.rpartition("/")[2].removesuffix(".json")
    if name.startswith(f"{validation_prefix(model)}/"):
        Validations().remove(model, name)
    elif name == drift_reports.object_name(model, report):
        DriftReports().remove(model, report)
    else:
        storage().remove([name])


def _remove_leftover(model: str, name: str) -> None:
    if not _is_version(name):
        storage().remove([name])
        return
    version = name.rpartition("/")[2]
    # A training that died after it was registered has left it there, too; without the
    # reserved name nobody would know that it is ours.
    try:
        Registry().discard(model, version)
    except RegistryError as error:
        raise _PutOff(str(error)) from error
    _remove_below(name)
    Versions().remove(model, version)


REMOVERS: dict[Kind, Callable[[str, str], None]] = {
    "predictions": lambda model, name: _remove_log_files(
        model, [file.name for file in Batches().files_of(model, name)]
    ),
    "labels": lambda model, name: _remove_log_files(model, [name]),
    "version": _remove_version,
    "pointer": lambda model, name: Tables().forget(model, *name.split("/")),
    "table": _remove_table,
    "report": _remove_report,
    "steps": StepValues().remove,
    "leftover": _remove_leftover,
}
