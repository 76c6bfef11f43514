"""What the instance is doing now: runs under way, schedules, sensors and daemons."""

import threading
from collections import Counter
from collections.abc import Iterator, Sequence

from dagster import DagsterInstance, DagsterRunStatus, RunRecord, RunsFilter
from prometheus_client.core import Metric

from ml_assets.observability.exporter.families import Folded, Gauges
from ml_assets.observability.exporter.opening import Opening
from ml_assets.observability.exporter.ticks import TickMetrics

UNDER_WAY = {
    DagsterRunStatus.QUEUED: "queued",
    DagsterRunStatus.STARTING: "starting",
    DagsterRunStatus.STARTED: "started",
    DagsterRunStatus.CANCELING: "canceling",
}
# Runs of one query.
BATCH = 1_000


class Now:
    """Follows the state of an instance; what it tells needs no history."""

    source = "instance"

    def __init__(self, opening: Opening, folded: Folded) -> None:
        self._opening = opening
        self._ticks = TickMetrics(folded)

    def look(self, stop: threading.Event) -> Sequence[Metric]:
        """Ask for everything anew."""
        instance = self._opening.instance()
        self._ticks.look(instance)
        return [*_runs(instance), *_daemons(instance), *self._ticks.metrics()]


def _runs(instance: DagsterInstance) -> Iterator[Metric]:
    records = _under_way(instance)
    runs = Gauges("ml_assets_dagster_runs", "Runs under way.", ("job", "status"))
    depth = Gauges("ml_assets_dagster_queue_depth", "Runs that wait.")
    oldest = Gauges(
        "ml_assets_dagster_queue_oldest_timestamp_seconds",
        "When the run that waits longest was asked for.",
    )
    counts = Counter(
        (item.dagster_run.job_name, UNDER_WAY[item.dagster_run.status])
        for item in records
        # One that ended since the question.
        if item.dagster_run.status in UNDER_WAY
    )
    for (job, status), count in counts.items():
        runs.set(job, status, value=count)
    waiting = [
        item.create_timestamp.timestamp()
        for item in records
        if item.dagster_run.status == DagsterRunStatus.QUEUED
    ]
    depth.set(value=len(waiting))
    if waiting:
        oldest.set(value=min(waiting))
    for table in (runs, depth, oldest):
        yield table.metric()


def _under_way(instance: DagsterInstance) -> list[RunRecord]:
    """Every run under way, the oldest first."""
    wanted, found = RunsFilter(statuses=[*UNDER_WAY]), list[RunRecord]()
    while True:
        after = found[-1].dagster_run.run_id if found else None
        records = instance.get_run_records(wanted, BATCH, ascending=True, cursor=after)
        found += records
        if len(records) < BATCH:
            return found


def _daemons(instance: DagsterInstance) -> Iterator[Metric]:
    table = Gauges(
        "ml_assets_dagster_daemon_heartbeat_timestamp_seconds",
        "When a daemon last said that it is alive.",
        ("daemon",),
    )
    for name, beat in instance.get_daemon_heartbeats().items():
        table.set(name, value=beat.timestamp)
    yield table.metric()
