"""The event log, read from its beginning, and then what is new.

One event type at a time: Dagster keeps an index by type and id. With SQLite, whose
events lie in a file a run, the types that are read here are in one more, with ids of
its own.
"""

import threading
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain

from dagster import DagsterEventType, DagsterInstance, EventLogEntry
from prometheus_client.core import CounterMetricFamily, Metric

from ml_assets.observability.exporter.assets import AssetMetrics
from ml_assets.observability.exporter.checks import CheckMetrics
from ml_assets.observability.exporter.families import Folded
from ml_assets.observability.exporter.opening import Opening
from ml_assets.observability.exporter.runs import ENDS, STARTING, STEP, RunMetrics

# Events of one query: a materialization can hold a plot.
BATCH = 250
# With several writers, an event can appear after one with a higher id: so many ids are
# looked back for one that was not seen.
OVERLAP = 1_000


class Cursor:
    """How far the events of one type were read, and which of the last were seen."""

    def __init__(self) -> None:
        self.newest = 0
        # The run too: SQLite gives the ids of deleted events again.
        self._seen: dict[int, str] = {}

    @property
    def after(self) -> int:
        """Events up to this id are done with."""
        return max(self.newest - OVERLAP, 0)

    def new(self, events: Mapping[int, EventLogEntry]) -> list[EventLogEntry]:
        """Those of `events` that were not seen before."""
        found = [
            event
            for id_, event in events.items()
            if self._seen.get(id_) != event.run_id
        ]
        self._seen |= {id_: event.run_id for id_, event in events.items()}
        self.newest = max(self.newest, max(events, default=0))
        after = self.after
        self._seen = {id_: run for id_, run in self._seen.items() if id_ > after}
        return found


class EventLog:
    """Follows the event log, and counts what it tells of runs, assets and checks."""

    source = "event_log"

    def __init__(self, opening: Opening, folded: Folded) -> None:
        self._opening = opening
        self._runs = RunMetrics(folded)
        self._assets = AssetMetrics(folded)
        self._checks = CheckMetrics(folded)
        self._cursors: dict[DagsterEventType, Cursor] = {}
        self.read = 0
        self.is_ready = False

    def look(self, stop: threading.Event) -> Sequence[Metric]:
        """Read to the end; nothing is told before the first time that it is reached.

        A counter that climbs to where it was before a restart would look like as many
        new events.
        """
        instance = self._opening.instance()
        kinds = [STARTING, *ENDS, *AssetMetrics.KINDS, *CheckMetrics.KINDS]
        if not instance.event_log_storage.is_run_sharded:
            kinds.append(STEP)
        for kind in kinds:
            for events in self._batches(instance, kind):
                self._take(instance, kind, events)
                self.read += len(events)
                if stop.is_set():
                    return ()
        self.is_ready = True
        read = CounterMetricFamily(
            "ml_assets_exporter_events_read", "Events read since the start."
        )
        read.add_metric((), self.read)
        tables = (self._runs, self._assets, self._checks)
        return [read, *chain.from_iterable(table.metrics() for table in tables)]

    def _take(
        self,
        instance: DagsterInstance,
        kind: DagsterEventType,
        events: list[EventLogEntry],
    ) -> None:
        if kind == STARTING:
            self._runs.starting(instance, events)
        elif kind in ENDS:
            self._runs.ended(instance, ENDS[kind], events)
        elif kind == STEP:
            self._runs.steps(events)
        elif kind in AssetMetrics.KINDS:
            self._assets.take(events)
        else:
            self._checks.take(events)

    def _batches(
        self, instance: DagsterInstance, kind: DagsterEventType
    ) -> Iterator[list[EventLogEntry]]:
        cursor = self._cursors.setdefault(kind, Cursor())
        after = cursor.after
        while True:
            events = instance.event_log_storage.get_logs_for_all_runs_by_log_id(
                after, kind, BATCH
            )
            new = cursor.new(events)
            if new:
                yield new
            if len(events) < BATCH:
                return
            after = max(events)
