"""Dagster's runs as traces: follows the instance, and sends what has ended."""

import datetime as dt
import json
import re
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from dagster import (
    DagsterEventType,
    DagsterInstance,
    DagsterRunStatus,
    RunRecord,
    RunsFilter,
)

from ml_assets.core.tracing.spans import Link, Span
from ml_assets.observability.run_spans import RunSpans
from ml_assets.observability.trace_ids import span_of, trace_of
from ml_assets.state.versions import UnknownVersionError, VersionStore

KEY = "ml_assets/run_traces"
# Runs of one look, and pages of a run's events.
RUNS = 50
PAGE = 1000
# Of a run with more events than this, the rest is left out.
EVENTS = 20_000
BATCH = 512
# Runs that ended before the first look are not told.
FIRST_SECONDS = 3600.0
# With several writers a run can appear after one that ended later.
OVERLAP_SECONDS = 60.0
# A collector that takes none of so many runs is asked again at the next look.
REFUSALS = 2
# How long a run is offered to a collector that does not take it.
KEPT_SECONDS = 86_400.0
_ENDED = [
    DagsterRunStatus.SUCCESS,
    DagsterRunStatus.FAILURE,
    DagsterRunStatus.CANCELED,
]
_KINDS = {
    DagsterEventType[name]
    for name in (
        "PIPELINE_ENQUEUED PIPELINE_DEQUEUED PIPELINE_STARTING PIPELINE_START"
        " PIPELINE_SUCCESS PIPELINE_FAILURE PIPELINE_CANCELED STEP_START STEP_RESTARTED"
        " STEP_SUCCESS STEP_FAILURE STEP_UP_FOR_RETRY STEP_SKIPPED"
        " ASSET_MATERIALIZATION ASSET_OBSERVATION ASSET_CHECK_EVALUATION"
    ).split()
}
_NAME = re.compile(r"\w{1,100}")
_VERSION = re.compile(r"\d{8}T\d{6}Z")


class Cursor(NamedTuple):
    """How far the runs were told: the time of the last, and those just before it."""

    after: float
    told: dict[str, float]

    @classmethod
    def parse(cls, text: str | None) -> "Cursor":
        """Read a cursor; none is an hour ago."""
        if not text:
            return cls(time.time() - FIRST_SECONDS, {})
        value = json.loads(text)
        return cls(value["after"], value["told"])

    def with_run(self, run_id: str, ended: float) -> "Cursor":
        """This cursor after one more run."""
        after = max(self.after, ended)
        told = {**self.told, run_id: ended}
        first = after - OVERLAP_SECONDS
        return Cursor(after, {name: at for name, at in told.items() if at > first})

    def format(self) -> str:
        """The text that `parse` reads."""
        return json.dumps(self._asdict())


class RunTracer:
    """Sends each run of an instance once it has ended.

    How far it came is kept in the instance, after the spans were taken: a process that
    is killed in between sends a run again, with the same ids.

    Parameters
    ----------
    instance
        Whose runs are told.
    send
        Hands spans to the collector and says whether they were taken.
    root
        Storage, whose records say which run trained a version.

    Attributes
    ----------
    told, lost, refused
        Runs whose trace was taken, runs that were given up, and attempts that failed.
    """

    def __init__(
        self,
        instance: DagsterInstance,
        send: Callable[[Sequence[Span]], bool],
        root: Path,
    ) -> None:
        self.told = self.lost = self.refused = 0
        self._instance = instance
        self._cursors = instance.daemon_cursor_storage
        self._send = send
        self._versions = VersionStore(root)

    def look(self) -> int:
        """Tell the runs that ended since the last look; how many were told."""
        text = self._cursors.get_cursor_values({KEY}).get(KEY)
        cursor = Cursor.parse(text)
        if text is None:
            self._keep(cursor)
        refused: list[RunRecord] = []
        told = 0
        for record in self._ended(cursor):
            if self._tell(record):
                told += 1
                # The collector is there: what it did not take it never will.
                self.lost += len(refused)
                cursor = self._keep(cursor, *refused, record)
                refused = []
                continue
            self.refused += 1
            refused.append(record)
            if len(refused) == REFUSALS:
                break
        oldest = time.time() - KEPT_SECONDS
        stale = [record for record in refused if _ended_at(record) < oldest]
        if stale:
            self.lost += len(stale)
            self._keep(cursor, *stale)
        self.told += told
        return told

    def _keep(self, cursor: Cursor, *records: RunRecord) -> Cursor:
        """Remember that `records` are done with."""
        for record in records:
            cursor = cursor.with_run(record.dagster_run.run_id, _ended_at(record))
        self._cursors.set_cursor_values({KEY: cursor.format()})
        return cursor

    def _ended(self, cursor: Cursor) -> list[RunRecord]:
        first = dt.datetime.fromtimestamp(cursor.after - OVERLAP_SECONDS, dt.UTC)
        records = self._instance.get_run_records(
            RunsFilter(statuses=_ENDED, updated_after=first),
            limit=RUNS + len(cursor.told),
            order_by="update_timestamp",
            ascending=True,
        )
        return [i for i in records if i.dagster_run.run_id not in cursor.told]

    def _tell(self, record: RunRecord) -> bool:
        spans = self.spans_of(record)
        batches = (spans[at : at + BATCH] for at in range(0, len(spans), BATCH))
        return all(self._send(batch) for batch in batches)

    def spans_of(self, record: RunRecord) -> list[Span]:
        """The trace of one run."""
        run = record.dagster_run
        made = RunSpans(run)
        cursor: str | None = None
        for _ in range(EVENTS // PAGE):
            page = self._instance.get_records_for_run(
                run.run_id, cursor, of_type=_KINDS, limit=PAGE
            )
            made.read(item.event_log_entry for item in page.records)
            cursor = page.cursor
            if not page.has_more:
                break
        if {"model", "version"} <= run.tags.keys():
            made.versions.add((run.tags["model"], run.tags["version"]))
        return made.spans(self._links(made))

    def _links(self, made: RunSpans) -> Iterator[Link]:
        """To the trainings of what the run deployed, and to the run that it repeats."""
        run = made.run
        trained = {self._training(*named) for named in sorted(made.versions)}
        for found in sorted(trained - {None, run.run_id}, key=str):
            yield _link(str(found), "training")
        if run.parent_run_id is not None:
            yield _link(run.parent_run_id, "repeated run")

    def _training(self, model: str, version: str) -> str | None:
        """The run that trained a version; None where it is no longer known."""
        # A tag can be written by anyone, and becomes part of a path.
        if not (_NAME.fullmatch(model) and _VERSION.fullmatch(version)):
            return None
        try:
            return self._versions.get(model, version).run_id
        except UnknownVersionError:
            return None


def _ended_at(record: RunRecord) -> float:
    return record.update_timestamp.timestamp()


def _link(run_id: str, kind: str) -> Link:
    about = {"ml_assets.link": kind, "dagster.run_id": run_id}
    return Link(trace_of(run_id), span_of(run_id), about)
