"""A snapshot of what is stored of a model, for `ml_assets.lifecycle.retention`."""

import contextlib
import datetime as dt
import re
from collections.abc import Iterator
from pathlib import Path

from ml_assets.core.files import TEMPORARY, home, read_json, storage_root
from ml_assets.core.storage import storage
from ml_assets.lifecycle.holds import on_hold
from ml_assets.lifecycle.plan_transitions import previous_version
from ml_assets.lifecycle.retention import (
    DAY,
    Batch,
    Pointer,
    Service,
    Snapshot,
    Table,
    Version,
)
from ml_assets.prediction_log.compaction import LogFile
from ml_assets.prediction_log.segments import waiting
from ml_assets.records.plan import STAMP, ServingPlan
from ml_assets.serving.models.plan_store import PlanStore
from ml_assets.spec.operation import RetentionSpec
from ml_assets.state.batches import Batches
from ml_assets.state.versions import VersionStore
from ml_assets.targets import Target

# Quotes inside a text are escaped in JSON, so that this is the key of a line.
VERSION = re.compile(rb'"version":\s*"([^"\\]+)"')
STAMPED = re.compile(r"\d{8}T\d{6}Z")


def take_snapshot(
    target: Target, model: str, policy: RetentionSpec, now: float
) -> Snapshot:
    """Everything that is stored of `model`, as it is now.

    Call it under ``target.lock(model)``.
    """
    root = storage_root()
    store = VersionStore(root)
    history = target.history(model)
    holds = on_hold(model)
    gone = {plan.live.version for plan in history} - {*store.names(model)}
    plans = PlanStore(root)
    proposal = plans.proposal(model)
    # A rollout that died left these: servers may be pinned to one.
    coming = [*plans.staged(model), *([proposal] if proposal else [])]
    tables = root / "tables" / model
    return Snapshot(
        versions=[
            Version(r.version, made(r.version), r.raw_version, r.features_version)
            for r in store.records(model)
        ],
        services=[
            Service(dt.datetime.fromisoformat(plan.created_at).timestamp(), _of(plan))
            for plan in history
        ],
        proposed=frozenset().union(*map(_of, coming)),
        previous=previous_version(history, {*holds, *gone}),
        on_hold=frozenset(holds),
        batches=_batches(model, now),
        segment_versions=frozenset(_segment_versions(model)),
        labels={file.name: file.newest for file in Batches().files(model, "labels")},
        tables={
            Table(path.parent.name, path.stem): path.stat().st_mtime
            for path in tables.glob("*/[!.]*.parquet")
        },
        current=frozenset(
            Table(path.parent.name, read_json(path)["data_version"])
            # The newest may wait for its checks.
            for path in (*tables.glob("*/current.json"), *tables.glob("*/newest.json"))
        ),
        pointers=dict(_pointers(tables.glob("*/runs/[!.]*.json"))),
        reports=_times((root / "reports" / model).rglob("[!.]*.*"), root),
        steps=_times((root / "steps" / model).glob("[!.]*"), root),
        leftovers=_times(_leftovers(root, model), root) | dict(_uncounted(model)),
    )


def made(version: str) -> float:
    """Unix seconds of a version's name."""
    moment = dt.datetime.strptime(version, STAMP).replace(tzinfo=dt.UTC)
    return moment.timestamp()


def pointers_of(stage: Path) -> set[str]:
    """Data versions of the tables in `stage` that a run or the stage points at."""
    names = ("current.json", "newest.json")
    paths = [*(stage / name for name in names), *(stage / "runs").glob("[!.]*.json")]
    return {item["data_version"] for item in map(read_json, paths) if item}


def _of(plan: ServingPlan) -> frozenset[str]:
    return frozenset(arm.version for arm in plan.arms)


def _times(paths: Iterator[Path], root: Path) -> dict[str, float]:
    found = {}
    for path in paths:
        # What a server leaves goes with its end, or when the next one starts.
        with contextlib.suppress(FileNotFoundError):
            found[path.relative_to(root).as_posix()] = path.lstat().st_mtime
    return found


def _pointers(paths: Iterator[Path]) -> Iterator[tuple[Pointer, float]]:
    for path in paths:
        stage = path.parent.parent.name
        table = Table(stage, read_json(path)["data_version"])
        yield Pointer(stage, path.stem, table), path.stat().st_mtime


def _leftovers(root: Path, model: str) -> Iterator[Path]:
    """What the killed left: temporary names, versions without a record, servers."""
    kinds = (
        "tables",
        "versions",
        "plans",
        "reports",
        "steps",
    )
    for kind in kinds:
        yield from (root / kind / model).rglob(f"{TEMPORARY}*")
    for kind in ("contracts", "classes", "ledger"):
        yield from (root / kind).glob(f"{TEMPORARY}*-{model}.*")
    yield from PlanStore(root).dead_servers()
    for path in (root / "versions" / model).glob("*"):
        if STAMPED.fullmatch(path.name) and not (path / "record.json").exists():
            yield path


def _batches(model: str, now: float) -> list[Batch]:
    by_batch: dict[str, list[LogFile]] = {}
    for file in Batches().files(model, "predictions"):
        by_batch.setdefault(file.batch, []).append(file)
    return [
        Batch(
            name,
            max(_end_of(file, now) for file in files),
            frozenset(version for file in files for version in file.versions),
        )
        for name, files in sorted(by_batch.items())
    ]


def _end_of(file: LogFile, now: float) -> float:
    """When the last prediction in a file was made, at the latest.

    A day of ids that is still to come is that of a server whose clock was ahead, maybe
    by years.
    """
    day = dt.datetime.fromisoformat(f"{file.day}T00:00:00+00:00")
    end = day.timestamp() + DAY
    return end if end <= now + DAY else file.newest


def _uncounted(model: str) -> Iterator[tuple[str, float]]:
    """Files of the log that a killed compaction uploaded and did not commit."""
    for kind in ("predictions", "labels"):
        found = {
            info.name: info.modified.timestamp()
            for info in storage().objects(f"{kind}/{model}")
        }
        counted = Batches().known(found)
        yield from (item for item in found.items() if item[0] not in counted)


def _segment_versions(model: str) -> Iterator[str]:
    """Versions in segments that were not compacted, here and in the storage."""
    for path in (home() / "log" / model).glob("*/[!.]*"):
        # One that is shipped since it was listed is in the storage.
        with contextlib.suppress(FileNotFoundError):
            yield from _versions_in(path.read_bytes())
    for info in waiting(storage(), model, "predictions"):
        yield from _versions_in(storage().get(info.name) or b"")


def _versions_in(segment: bytes) -> set[str]:
    return {match[1].decode() for match in VERSION.finditer(segment)}
