"""A snapshot of what is stored of a model, for `ml_assets.lifecycle.retention`."""

import contextlib
import datetime as dt
import itertools
import mmap
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

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
from ml_assets.prediction_log.compaction import batch_of, pending
from ml_assets.records.plan import STAMP, ServingPlan
from ml_assets.serving.models.published_plans import PublishedPlans
from ml_assets.serving.models.rendezvous import rendezvous
from ml_assets.spec.operation import RetentionSpec
from ml_assets.state.versions import Versions
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
    store = Versions()
    history = target.history(model)
    holds = on_hold(model)
    gone = {plan.live.version for plan in history} - {*store.names(model)}
    next_generation = history[-1].generation + 1 if history else 1
    proposal = rendezvous().proposal(model)
    # A rollout that died left these: servers may be pinned to one.
    coming = PublishedPlans(storage()).of_generation(model, next_generation)
    if proposal is not None and proposal.generation == next_generation:
        coming.append(proposal)
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
        batches=_batches(root, model, now - policy.predictions_days * DAY, now),
        segment_versions=frozenset(_segment_versions(root, model)),
        labels=_times((root / "labels" / model).glob("[0-9a-f]*.parquet"), root),
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
        leftovers=_times(_leftovers(root, model), root)
        | {
            f"versions/{model}/{name}": moment
            for name, moment in store.unfinished(model).items()
        },
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
        "predictions",
        "labels",
        "segments",
        "steps",
    )
    for kind in kinds:
        yield from (root / kind / model).rglob(f"{TEMPORARY}*")
    for kind in ("contracts", "classes", "ledger"):
        yield from (root / kind).glob(f"{TEMPORARY}*-{model}.*")
    yield from rendezvous().dead_servers()
    # What a version had, of which there is no row.
    known = {*Versions().names(model), *Versions().unfinished(model)}
    for path in (root / "versions" / model).glob("*"):
        if STAMPED.fullmatch(path.name) and path.name not in known:
            yield path


def _batches(root: Path, model: str, expiry: float, now: float) -> list[Batch]:
    directory = root / "predictions" / model
    begun = batch_of(pending(directory).segments)
    files: dict[str, list[Path]] = {}
    for path in directory.glob("????-??-??/[0-9a-f]*.parquet"):
        files.setdefault(path.stem, []).append(path)
    found = []
    for name, paths in sorted(files.items()):
        end = max(_end_of(path, now) for path in paths)
        versions = {v for path in paths if end >= expiry for v in _versions_in(path)}
        if name != begun:
            found.append(Batch(name, end, frozenset(versions)))
    return found


def _end_of(path: Path, now: float) -> float:
    """When the last prediction in a file was made, at the latest.

    A day of ids that is still to come is that of a server whose clock was ahead, maybe
    by years: then it is when the file was written.
    """
    day = dt.datetime.fromisoformat(f"{path.parent.name}T00:00:00+00:00")
    end = day.timestamp() + DAY
    return end if end <= now + DAY else path.stat().st_mtime


def _versions_in(path: Path) -> set[str]:
    """Versions that made predictions in a Parquet file, mostly from its statistics."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        index = file.schema_arrow.get_field_index("version")
        groups = [file.metadata.row_group(n) for n in range(file.num_row_groups)]
        bounds = [group.column(index).statistics for group in groups]
        if all(bound is not None and bound.min == bound.max for bound in bounds):
            return {str(bound.min) for bound in bounds}
        column: Any = file.read(columns=["version"]).column("version")
        return {str(value) for value in column.unique().to_pylist()}


def _segment_versions(root: Path, model: str) -> Iterator[str]:
    """Versions in segments that were not compacted, here and in the storage."""
    for path in itertools.chain(
        (home() / "log" / model).glob("*/[!.]*"),
        (root / "segments" / model).glob("[!.]*"),
    ):
        try:
            with path.open("rb") as stream:
                if stream.seek(0, 2):
                    with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
                        found = {match[1] for match in VERSION.finditer(data)}
                    yield from (version.decode() for version in found)
        except FileNotFoundError:
            # Shipped since it was listed; the storage is listed after.
            continue
