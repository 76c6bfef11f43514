"""What nothing needs any more: a pure decision over a snapshot of what is stored.

Marked are the versions that something refers to; swept is what is old and not marked.
A reference always goes before what it refers to, so that a process killed half way
leaves nothing that points at nothing.
"""

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from ml_assets.spec.operation import RetentionSpec
from ml_assets.state.tables import Pointer
from ml_assets.state.validations import data_version_of

Kind = Literal[
    "predictions",
    "labels",
    "version",
    "pointer",
    "table",
    "report",
    "steps",
    "leftover",
]

DAY = 86_400.0
# What a killed writer left is not removed while one could still be writing.
LEFTOVER_SECONDS = DAY
# Servers go over to a plan after it is active, and ids are made by their clocks.
LAG_SECONDS = DAY


class Version(NamedTuple):
    """One version: when it was made, and the tables that it was made from."""

    name: str
    created: float
    raw_version: str
    features_version: str


class Service(NamedTuple):
    """A plan: when it became active, and the versions in it."""

    since: float
    versions: frozenset[str]


class Batch(NamedTuple):
    """Compacted predictions: the last day that they are of, and who made them."""

    name: str
    end: float
    versions: frozenset[str]


class Table(NamedTuple):
    """A table by stage and data version."""

    stage: str
    version: str


@dataclass(frozen=True)
class Snapshot:
    """Everything that is stored of one model; times are unix seconds.

    Attributes
    ----------
    services : list of Service
        Every plan, oldest first; the last is active.
    proposed : frozenset of str
        Versions of a plan that is being rolled out.
    segment_versions : frozenset of str
        Versions with predictions that are not compacted yet.
    reports : dict of str to float
        Name to time; a report on raw data is named by its data version.
    current : frozenset of Table
        What a stage made last, and of what it made it.
    steps : dict of str to float
        Run to time of the values between its steps.
    """

    versions: list[Version] = field(default_factory=list)
    services: list[Service] = field(default_factory=list)
    proposed: frozenset[str] = frozenset()
    previous: str | None = None
    on_hold: frozenset[str] = frozenset()
    batches: list[Batch] = field(default_factory=list)
    segment_versions: frozenset[str] = frozenset()
    labels: Mapping[str, float] = field(default_factory=dict)
    tables: Mapping[Table, float] = field(default_factory=dict)
    current: frozenset[Table] = frozenset()
    pointers: list[Pointer] = field(default_factory=list)
    reports: Mapping[str, float] = field(default_factory=dict)
    steps: Mapping[str, float] = field(default_factory=dict)
    leftovers: Mapping[str, float] = field(default_factory=dict)


class Deletion(NamedTuple):
    """Something that may go, and why."""

    kind: Kind
    name: str
    reason: str


def plan_retention(
    snapshot: Snapshot, policy: RetentionSpec, now: float
) -> list[Deletion]:
    """What may go, each reference before what it refers to.

    Parameters
    ----------
    now : float
        Unix seconds.

    Examples
    --------
    >>> snapshot = Snapshot(leftovers={"tables/churn/raw/.tmp-1": 0.0})
    >>> plan_retention(snapshot, RetentionSpec(), now=2 * 86_400.0)[0].kind
    'leftover'
    """
    marks = marked(snapshot, policy, now)
    kept = [version for version in snapshot.versions if version.name in marks]
    oldest = now - policy.days * DAY
    pointers = [p for p in snapshot.pointers if p.made < oldest]
    needed = _needed_tables(snapshot, kept, pointers)
    tables = {
        table
        for table, made in snapshot.tables.items()
        if made < oldest and table not in needed
    }
    return [
        *_predictions(snapshot, policy, now),
        *(
            Deletion("version", version.name, _age(version.created, now))
            for version in snapshot.versions
            if version.name not in marks
        ),
        *(
            Deletion("pointer", f"{p.stage}/{p.run}", _age(p.made, now))
            for p in sorted(pointers)
        ),
        *(
            Deletion("table", f"{t.stage}/{t.version}", _age(snapshot.tables[t], now))
            for t in sorted(tables)
        ),
        *(
            item
            for item in _older("report", snapshot.reports, oldest, now)
            if not _is_about(item.name, needed)
        ),
        *_older("steps", snapshot.steps, oldest, now),
        *_older("leftover", snapshot.leftovers, now - LEFTOVER_SECONDS, now),
    ]


def _older(
    kind: Kind, made: Mapping[str, float], oldest: float, now: float
) -> Iterator[Deletion]:
    for name, moment in sorted(made.items()):
        if moment < oldest:
            yield Deletion(kind, name, _age(moment, now))


def marked(snapshot: Snapshot, policy: RetentionSpec, now: float) -> dict[str, str]:
    """Versions that stay, and the strongest reason for each."""
    found: dict[str, str] = {}
    for name, reason in _reasons(snapshot, policy, now):
        found.setdefault(name, reason)
    existing = {version.name for version in snapshot.versions}
    return {name: reason for name, reason in found.items() if name in existing}


def _reasons(
    snapshot: Snapshot, policy: RetentionSpec, now: float
) -> Iterator[tuple[str, str]]:
    live = snapshot.services[-1].versions if snapshot.services else frozenset()
    yield from ((name, "in service") for name in live)
    yield from ((name, "about to be in service") for name in snapshot.proposed)
    if snapshot.previous is not None:
        yield snapshot.previous, "a rollback returns to it"
    yield from ((name, "on hold") for name in snapshot.on_hold)
    for name in _answering(snapshot, policy, now):
        yield name, "its predictions are kept"
    newest = sorted(snapshot.versions, key=lambda version: version.name, reverse=True)
    for version in newest[: policy.versions]:
        yield version.name, f"one of the {policy.versions} newest"
    for version in newest:
        if version.created >= now - policy.days * DAY:
            yield version.name, f"younger than {policy.days:g} days"


def _answering(snapshot: Snapshot, policy: RetentionSpec, now: float) -> Iterator[str]:
    """Versions with predictions that have not expired."""
    yield from snapshot.segment_versions
    for batch in snapshot.batches:
        if not _has_expired(batch.end, policy, now):
            yield from batch.versions
    # Servers elsewhere may hold predictions that were not shipped yet.
    ends = [service.since for service in snapshot.services[1:]] + [now]
    for service, end in zip(snapshot.services, ends, strict=False):
        if not _has_expired(end + LAG_SECONDS, policy, now):
            yield from service.versions


def _has_expired(moment: float, policy: RetentionSpec, now: float) -> bool:
    return moment < now - policy.predictions_days * DAY


def _predictions(
    snapshot: Snapshot, policy: RetentionSpec, now: float
) -> Iterator[Deletion]:
    for batch in snapshot.batches:
        if _has_expired(batch.end, policy, now):
            yield Deletion("predictions", batch.name, _age(batch.end, now))
    oldest = now - policy.predictions_days * DAY
    yield from _older("labels", snapshot.labels, oldest, now)


def _needed_tables(
    snapshot: Snapshot, kept: list[Version], leaving: list[Pointer]
) -> set[Table]:
    needed = {*snapshot.current}
    for pointer in {*snapshot.pointers}.difference(leaving):
        needed.add(Table(pointer.stage, pointer.data_version))
        if pointer.made_of is not None:
            needed.add(Table("raw", pointer.made_of))
    for version in kept:
        needed.add(Table("raw", version.raw_version))
        needed.add(Table("features", version.features_version))
    return needed


def _is_about(path: str, needed: set[Table]) -> bool:
    """Whether a report is on raw data that is kept."""
    return "/validation/" in path and Table("raw", data_version_of(path)) in needed


def _age(moment: float, now: float) -> str:
    day = dt.datetime.fromtimestamp(moment, dt.UTC).date()
    return f"of {day}, {(now - moment) / DAY:.0f} days old, and nothing needs it"
