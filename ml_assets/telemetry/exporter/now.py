"""What the instance is doing now: runs under way, schedules, sensors and daemons."""

import threading
from collections import Counter
from collections.abc import Iterator, Sequence

from dagster import DagsterInstance, DagsterRunStatus, RunsFilter
from prometheus_client.core import Metric

from ml_assets.telemetry.exporter.families import Folded, Gauges
from ml_assets.telemetry.exporter.opening import Opening
from ml_assets.telemetry.exporter.ticks import TickMetrics

UNDER_WAY = {
    DagsterRunStatus.QUEUED: "queued",
    DagsterRunStatus.STARTING: "starting",
    DagsterRunStatus.STARTED: "started",
    DagsterRunStatus.CANCELING: "canceling",
}
# Of more runs under way, only the number that waits is told.
MOST_RUNS = 1_000


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
    records = instance.get_run_records(
        RunsFilter(statuses=[*UNDER_WAY]), limit=MOST_RUNS, ascending=True
    )
    runs = Gauges(
        "ml_assets_dagster_runs", "Runs under way.", ("job", "status"), Folded()
    )
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
    number = len(waiting)
    if len(records) == MOST_RUNS:
        number = instance.get_runs_count(RunsFilter(statuses=[DagsterRunStatus.QUEUED]))
    depth.set(value=number)
    if waiting:
        oldest.set(value=min(waiting))
    for table in (runs, depth, oldest):
        yield table.metric()


def _daemons(instance: DagsterInstance) -> Iterator[Metric]:
    table = Gauges(
        "ml_assets_dagster_daemon_heartbeat_timestamp_seconds",
        "When a daemon last said that it is alive.",
        ("daemon",),
    )
    for name, beat in instance.get_daemon_heartbeats().items():
        table.set(name, value=beat.timestamp)
    yield table.metric()
