"""The event log, read from its beginning, and then what is new.

One event type at a time: Dagster keeps an index by type and id. With SQLite, where each
run has a file of events, the types that are read here are also in one file of all runs,
with ids of its own.
"""

import threading
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain

from dagster import DagsterEventType, DagsterInstance, EventLogEntry
from prometheus_client.core import CounterMetricFamily, Metric

from ml_assets.observability.exporter.assets import AssetMetrics, CheckMetrics
from ml_assets.observability.exporter.instance import LazyInstance
from ml_assets.observability.exporter.metric_families import FoldedSeries
from ml_assets.observability.exporter.runs import ENDS, STARTING, STEP, RunMetrics

# Events of one query: a materialization can hold a plot.
BATCH = 250
# With several writers, an event can appear after one with a higher id: so many ids are
# read again for one that was missing.
OVERLAP = 1_000


class EventCursor:
    """Up to which id the events of one type were read, and which of the last ids."""

    def __init__(self) -> None:
        self.newest = 0
        # The run too: SQLite reuses the ids of deleted events.
        self._seen: dict[int, str] = {}

    @property
    def after(self) -> int:
        """Events up to this id are not read again."""
        return max(self.newest - OVERLAP, 0)

    def new(self, events: Mapping[int, EventLogEntry]) -> list[EventLogEntry]:
        """Those of `events` that were not read before."""
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


class EventLogSource:
    """Polls the event log, and counts runs, materializations and check results."""

    name = "event_log"

    def __init__(self, instance: LazyInstance, folded: FoldedSeries) -> None:
        self._instance = instance
        self._runs = RunMetrics(folded)
        self._assets = AssetMetrics(folded)
        self._checks = CheckMetrics(folded)
        self._cursors: dict[DagsterEventType, EventCursor] = {}
        self.read = 0
        self.is_ready = False

    def poll(self, stop: threading.Event) -> Sequence[Metric]:
        """Read to the end of the log; nothing is returned before it was reached once.

        A counter that climbs to its value of before a restart would look like as many
        new events.
        """
        instance = self._instance.get()
        kinds = [STARTING, *ENDS, *AssetMetrics.KINDS, *CheckMetrics.KINDS]
        if not instance.event_log_storage.is_run_sharded:
            kinds.append(STEP)
        for kind in kinds:
            for events in self._batches(instance, kind):
                self._count(instance, kind, events)
                self.read += len(events)
                if stop.is_set():
                    return ()
        self.is_ready = True
        read = CounterMetricFamily(
            "ml_assets_exporter_events_read", "Events read since the start."
        )
        read.add_metric((), self.read)
        counted = (self._runs, self._assets, self._checks)
        return [read, *chain.from_iterable(item.metrics() for item in counted)]

    def _count(
        self,
        instance: DagsterInstance,
        kind: DagsterEventType,
        events: list[EventLogEntry],
    ) -> None:
        if kind == STARTING:
            self._runs.launched(instance, events)
        elif kind in ENDS:
            self._runs.ended(instance, ENDS[kind], events)
        elif kind == STEP:
            self._runs.steps_succeeded(events)
        elif kind in AssetMetrics.KINDS:
            self._assets.count(events)
        else:
            self._checks.count(events)

    def _batches(
        self, instance: DagsterInstance, kind: DagsterEventType
    ) -> Iterator[list[EventLogEntry]]:
        cursor = self._cursors.setdefault(kind, EventCursor())
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
