"""The Dagster instance: its runs in progress, schedules, sensors and daemons."""

import os
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from dagster import DagsterInstance, DagsterRunStatus, RunRecord, RunsFilter
from prometheus_client.core import Metric

from ml_assets.core.files import locked
from ml_assets.observability.exporter.metric_families import FoldedSeries, GaugeFamily
from ml_assets.observability.exporter.ticks import TickMetrics

IN_PROGRESS = {
    DagsterRunStatus.QUEUED: "queued",
    DagsterRunStatus.STARTING: "starting",
    DagsterRunStatus.STARTED: "started",
    DagsterRunStatus.CANCELING: "canceling",
}
# Runs of one query.
BATCH = 1_000


class LazyInstance:
    """The instance of the Dagster home `directory`, opened once for all sources."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._instance: DagsterInstance | None = None
        self._lock = threading.Lock()

    def get(self) -> DagsterInstance:
        """The instance; raises what its configuration or database raises.

        The next call tries again.
        """
        with self._lock, ExitStack() as stack:
            if self._instance is None:
                # Two processes that create the tables of a new SQLite file at once
                # both fail. In a pod the directory is read-only and holds no tables.
                if os.access(self._directory, os.W_OK):
                    stack.enter_context(locked(self._directory / ".instance.lock"))
                self._instance = DagsterInstance.from_config(str(self._directory))
            return self._instance

    def close(self) -> None:
        """Dispose of the instance, if it was opened."""
        with self._lock:
            if self._instance is not None:
                self._instance.dispose()
                self._instance = None


class InstanceSource:
    """Polls the state of an instance; nothing is kept but the cursors of ticks."""

    name = "instance"

    def __init__(self, instance: LazyInstance, folded: FoldedSeries) -> None:
        self._instance = instance
        self._ticks = TickMetrics(folded)

    def poll(self, stop: threading.Event) -> Sequence[Metric]:
        """Query runs, daemons, schedules and sensors."""
        instance = self._instance.get()
        self._ticks.update(instance)
        return [*_runs(instance), *_daemons(instance), *self._ticks.metrics()]


def _runs(instance: DagsterInstance) -> Iterator[Metric]:
    records = _in_progress(instance)
    runs = GaugeFamily("ml_assets_dagster_runs", "Runs in progress.", ("job", "status"))
    depth = GaugeFamily("ml_assets_dagster_queue_depth", "Runs in the queue.")
    oldest = GaugeFamily(
        "ml_assets_dagster_queue_oldest_timestamp_seconds",
        "When the oldest run in the queue was requested.",
    )
    counts = Counter(
        (item.dagster_run.job_name, IN_PROGRESS[item.dagster_run.status])
        for item in records
        # One may have ended since the query.
        if item.dagster_run.status in IN_PROGRESS
    )
    for (job, status), count in counts.items():
        runs.set(job, status, value=count)
    queued = [
        item.create_timestamp.timestamp()
        for item in records
        if item.dagster_run.status == DagsterRunStatus.QUEUED
    ]
    depth.set(value=len(queued))
    if queued:
        oldest.set(value=min(queued))
    for family in (runs, depth, oldest):
        yield family.metric()


def _in_progress(instance: DagsterInstance) -> list[RunRecord]:
    """Every run in progress, the oldest first."""
    wanted, found = RunsFilter(statuses=[*IN_PROGRESS]), list[RunRecord]()
    while True:
        after = found[-1].dagster_run.run_id if found else None
        records = instance.get_run_records(wanted, BATCH, ascending=True, cursor=after)
        found += records
        if len(records) < BATCH:
            return found


def _daemons(instance: DagsterInstance) -> Iterator[Metric]:
    family = GaugeFamily(
        "ml_assets_dagster_daemon_heartbeat_timestamp_seconds",
        "Last heartbeat of a daemon.",
        ("daemon",),
    )
    for name, heartbeat in instance.get_daemon_heartbeats().items():
        family.set(name, value=heartbeat.timestamp)
    yield family.metric()
