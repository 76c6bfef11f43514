"""A snapshot of what is stored of a model, for `ml_assets.lifecycle.retention`."""

import contextlib
import datetime as dt
import re
from collections.abc import Iterator

from ml_assets.core.files import home
from ml_assets.core.storage import storage
from ml_assets.lifecycle.plan_transitions import previous_version
from ml_assets.lifecycle.retention import (
    DAY,
    Batch,
    Service,
    Snapshot,
    Table,
    Version,
)
from ml_assets.prediction_log.compaction import LogFile
from ml_assets.prediction_log.segments import waiting
from ml_assets.records.plan import STAMP, ServingPlan
from ml_assets.serving.models.published_plans import PublishedPlans
from ml_assets.serving.models.rendezvous import rendezvous
from ml_assets.state.batches import Batches
from ml_assets.state.ledger import Ledger
from ml_assets.state.plans import Plans
from ml_assets.state.schema import CURRENT, NEWEST
from ml_assets.state.steps import StepValues
from ml_assets.state.tables import Tables
from ml_assets.state.versions import Versions

# Quotes inside a text are escaped in JSON, so that this is the key of a line.
VERSION = re.compile(rb'"version":\s*"([^"\\]+)"')
STAMPED = re.compile(r"\d{8}T\d{6}Z")
# What the storage has of each model.
KINDS = (
    *("tables", "versions", "plans", "pinned", "reports"),
    *("predictions", "labels", "segments"),
)


def take_snapshot(model: str, now: float) -> Snapshot:
    """Everything that is stored of `model`, as it is now.

    Call it under the lock of the target.
    """
    # Before the rows that refer to them: what is written meanwhile is not there yet.
    leftovers = dict(_leftovers(model))
    tables = dict(_tables(model))
    reports = {
        info.name: info.modified.timestamp()
        for info in storage().objects(f"reports/{model}")
    }
    segment_versions = frozenset(_segment_versions(model))
    versions = Versions()
    history = Plans().history(model)
    holds = Ledger().held(model)
    gone = {plan.live.version for plan in history} - {*versions.names(model)}
    pointers = Tables().pointers(model)
    last = [item for item in pointers if item.run in (CURRENT, NEWEST)]
    origins = [Table("raw", item.made_of) for item in last if item.made_of]
    return Snapshot(
        versions=[
            Version(r.version, made(r.version), r.raw_version, r.features_version)
            for r in versions.records(model)
        ],
        services=[
            Service(dt.datetime.fromisoformat(plan.created_at).timestamp(), _of(plan))
            for plan in history
        ],
        proposed=frozenset().union(*map(_of, _coming(model))),
        previous=previous_version(history, {*holds, *gone}),
        on_hold=frozenset(holds),
        batches=_batches(model, now),
        segment_versions=segment_versions,
        labels={file.name: file.newest for file in Batches().files(model, "labels")},
        tables=tables,
        # The newest may wait for its checks.
        current=frozenset([*(Table(p.stage, p.data_version) for p in last), *origins]),
        pointers=[item for item in pointers if item not in last],
        reports=reports,
        steps={item.run: item.made for item in StepValues().runs(model)},
        leftovers=leftovers,
    )


def made(version: str) -> float:
    """Unix seconds of a version's name."""
    moment = dt.datetime.strptime(version, STAMP).replace(tzinfo=dt.UTC)
    return moment.timestamp()


def _of(plan: ServingPlan) -> frozenset[str]:
    return frozenset(arm.version for arm in plan.arms)


def _coming(model: str) -> list[ServingPlan]:
    """Plans that are rolled out, or that a rollout which died left: maybe pinned."""
    history = Plans().history(model)
    generation = history[-1].generation + 1 if history else 1
    found = PublishedPlans(storage()).of_generation(model, generation)
    proposal = rendezvous().proposal(model)
    if proposal is not None and proposal.generation == generation:
        found.append(proposal)
    return found


def _tables(model: str) -> Iterator[tuple[Table, float]]:
    for info in storage().objects(f"tables/{model}"):
        *_, stage, name = info.name.split("/")
        version, _, suffix = name.rpartition(".")
        if suffix == "parquet":
            yield Table(stage, version), info.modified.timestamp()


def _leftovers(model: str) -> Iterator[tuple[str, float]]:
    """What the killed left: parts of objects, files of the log, and versions."""
    for kind in KINDS:
        for info in storage().leftovers(f"{kind}/{model}"):
            yield info.name, info.modified.timestamp()
    yield from _uncounted(model)
    # Of a version without a row, objects were left; one without a record was given up.
    found = [n for n in storage().children(f"versions/{model}") if STAMPED.fullmatch(n)]
    unfinished = Versions().unfinished(model)
    known = {*Versions().names(model), *unfinished}
    times = {name: made(name) for name in found if name not in known} | unfinished
    yield from ((f"versions/{model}/{name}", at) for name, at in times.items())


def _uncounted(model: str) -> Iterator[tuple[str, float]]:
    """Files of the log that a killed compaction uploaded and did not commit."""
    for kind in ("predictions", "labels"):
        found = {
            info.name: info.modified.timestamp()
            for info in storage().objects(f"{kind}/{model}")
        }
        counted = Batches().known(found)
        yield from (item for item in found.items() if item[0] not in counted)


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
