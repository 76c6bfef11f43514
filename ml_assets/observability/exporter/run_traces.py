"""Dagster's runs as traces: each is sent to the collector once it has ended."""

import datetime as dt
import json
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from dagster import (
    DagsterEventType,
    DagsterInstance,
    DagsterRunStatus,
    RunRecord,
    RunsFilter,
)
from prometheus_client.core import CounterMetricFamily, Metric

from ml_assets.core.tracing.sampling import is_traced
from ml_assets.core.tracing.spans import Link, Span
from ml_assets.observability.dagster_records import span_id_of, trace_id_of
from ml_assets.observability.exporter.instance import LazyInstance
from ml_assets.observability.exporter.polling import logger
from ml_assets.observability.run_spans import RunSpans
from ml_assets.state.versions import UnknownVersionError, Versions

KEY = "ml_assets/run_traces"
# Runs that one query returns, and events.
RUNS = 50
PAGE = 1000
# Of a run with more events than this, the rest is left out.
EVENTS = 20_000
BATCH = 512
# Runs that ended longer before the first poll are not sent.
FIRST_SECONDS = 3600.0
# With several writers a run can appear after one that ended later.
OVERLAP_SECONDS = 60.0
# After so many runs that a collector refused, it is tried again at the next poll.
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


class RunCursor(NamedTuple):
    """Up to when runs were sent: the end of the last, and the runs just before it."""

    after: float
    sent: dict[str, float]

    @classmethod
    def parse(cls, text: str | None) -> "RunCursor":
        """Read the text of `format`; without one, begin an hour ago."""
        if not text:
            return cls(time.time() - FIRST_SECONDS, {})
        value = json.loads(text)
        # Earlier versions wrote `told`.
        return cls(value["after"], value.get("sent") or value.get("told", {}))

    def with_run(self, run_id: str, ended: float) -> "RunCursor":
        """This cursor after one more run."""
        after = max(self.after, ended)
        sent = {**self.sent, run_id: ended}
        first = after - OVERLAP_SECONDS
        return RunCursor(after, {name: at for name, at in sent.items() if at > first})

    def format(self) -> str:
        """The text that `parse` reads."""
        return json.dumps(self._asdict())


class RunTracer:
    """Sends each run of an instance once it has ended.

    The cursor is kept in the instance, and written after the collector has taken the
    spans: a process that is killed in between sends a run again, with the same ids.

    Parameters
    ----------
    instance
        Whose runs are sent.
    send
        Hands spans to the collector and returns whether they were taken.

    Attributes
    ----------
    sent, lost, refused
        Runs whose trace was taken, runs that were given up, and attempts that failed.
    """

    def __init__(
        self,
        instance: DagsterInstance,
        send: Callable[[Sequence[Span]], bool],
    ) -> None:
        self.sent = self.lost = self.refused = 0
        self._instance = instance
        self._cursors = instance.daemon_cursor_storage
        self._send = send
        self._versions = Versions()

    def send_ended(self) -> int:
        """Send runs that ended since the last call; return how many."""
        text = self._cursors.get_cursor_values({KEY}).get(KEY)
        cursor = RunCursor.parse(text)
        if text is None:
            self._save(cursor)
        refused: list[RunRecord] = []
        sent = 0
        for record in self._ended(cursor):
            if self._send_run(record):
                sent += 1
                # It takes others, so it would refuse these again.
                self.lost += len(refused)
                cursor = self._save(cursor, *refused, record)
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
            self._save(cursor, *stale)
        self.sent += sent
        return sent

    def _save(self, cursor: RunCursor, *records: RunRecord) -> RunCursor:
        """Write the cursor after `records`, which are not sent again."""
        for record in records:
            cursor = cursor.with_run(record.dagster_run.run_id, _ended_at(record))
        self._cursors.set_cursor_values({KEY: cursor.format()})
        return cursor

    def _ended(self, cursor: RunCursor) -> list[RunRecord]:
        first = dt.datetime.fromtimestamp(cursor.after - OVERLAP_SECONDS, dt.UTC)
        records = self._instance.get_run_records(
            RunsFilter(statuses=_ENDED, updated_after=first),
            limit=RUNS + len(cursor.sent),
            order_by="update_timestamp",
            ascending=True,
        )
        return [i for i in records if i.dagster_run.run_id not in cursor.sent]

    def _send_run(self, record: RunRecord) -> bool:
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
        """Links to the trainings of the versions it deployed, and to its parent run."""
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
    return Link(trace_id_of(run_id), span_id_of(run_id), about)


class RunTraceSource:
    """Polls the instance for runs that ended, and counts the traces of them."""

    name = "traces"

    def __init__(self, instance: LazyInstance) -> None:
        self._instance = instance
        self._tracer: RunTracer | None = None

    def poll(self, stop: threading.Event) -> Sequence[Metric]:
        """Send the runs that ended."""
        if self._tracer is None:
            from ml_assets.core.tracing.otlp import Sender

            sender = Sender("ml-assets-runs", logger)
            self._tracer = RunTracer(self._instance.get(), sender.send)
        tracer = self._tracer
        while not stop.is_set() and tracer.send_ended():
            pass
        return [
            CounterMetricFamily(f"ml_assets_traces_{name}", text, value=value)
            for name, text, value in (
                ("sent", "Runs whose trace the collector took.", tracer.sent),
                ("refused", "Attempts that the collector refused.", tracer.refused),
                ("lost", "Runs whose trace was given up.", tracer.lost),
            )
        ]


def trace_sources(instance: LazyInstance) -> list[RunTraceSource]:
    """The source of traces, where the environment names a collector."""
    return [RunTraceSource(instance)] if is_traced() else []
