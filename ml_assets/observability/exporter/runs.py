"""Runs that were launched and that ended, and their steps, from the event log."""

from collections.abc import Iterator, Sequence

from dagster import (
    DagsterEventType,
    DagsterInstance,
    EventLogEntry,
    RunRecord,
    RunsFilter,
)
from prometheus_client.core import Metric

from ml_assets.observability.exporter.metric_families import (
    CounterFamily,
    FoldedSeries,
    GaugeFamily,
    HistogramFamily,
)

STARTING = DagsterEventType.RUN_STARTING
STEP = DagsterEventType.STEP_SUCCESS
ENDS = {
    DagsterEventType.RUN_SUCCESS: "success",
    DagsterEventType.RUN_FAILURE: "failure",
    DagsterEventType.RUN_CANCELED: "canceled",
}
RUN_SECONDS = (1, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600)
STEP_SECONDS = (0.1, 0.5, 1, 5, 10, 30, 60, 300, 600, 1800, 3600, 21600)
QUEUE_SECONDS = (0.5, 1, 2, 5, 10, 30, 60, 300, 900, 3600)
STEP_STATUSES = {"SUCCESS": "success", "FAILURE": "failure"}


class RunMetrics:
    """Counts and durations of runs and steps."""

    def __init__(self, folded: FoldedSeries) -> None:
        labels = ("job", "status")
        self._runs = CounterFamily(
            "ml_assets_dagster_runs_total", "Runs that ended.", labels, folded
        )
        self._last = GaugeFamily(
            "ml_assets_dagster_run_last_timestamp_seconds",
            "When a run of the job last ended with this status.",
            labels,
        )
        self._seconds = HistogramFamily(
            "ml_assets_dagster_run_duration_seconds",
            "Time from the start of a run's process to its end.",
            labels,
            RUN_SECONDS,
            folded,
        )
        self._steps = HistogramFamily(
            "ml_assets_dagster_step_duration_seconds",
            "Time from the start of a step to its end.",
            ("job", "step", "status"),
            STEP_SECONDS,
            folded,
        )
        self._queue = HistogramFamily(
            "ml_assets_dagster_run_queue_seconds",
            "Time from the request of a run to its launch.",
            ("job",),
            QUEUE_SECONDS,
            folded,
        )

    def launched(
        self, instance: DagsterInstance, events: Sequence[EventLogEntry]
    ) -> None:
        """Count the time that launched runs were in the queue."""
        records = _records(instance, events)
        for event in events:
            job = self._job(event)
            record = records.get(event.run_id)
            if record is not None:
                queued = event.timestamp - record.create_timestamp.timestamp()
                self._queue.observe(job, value=max(queued, 0.0))

    def ended(
        self, instance: DagsterInstance, status: str, events: Sequence[EventLogEntry]
    ) -> None:
        """Count runs that ended with this status."""
        records = _records(instance, events)
        for event in events:
            job = self._job(event)
            self._runs.add(job, status)
            self._last.raise_to(job, status, value=event.timestamp)
            record = records.get(event.run_id)
            if record is None or record.start_time is None:
                continue
            seconds = max(event.timestamp - record.start_time, 0.0)
            self._seconds.observe(job, status, value=seconds)
            # Where there is no log of all runs' step events, they are read run by run.
            if status != "success" or instance.event_log_storage.is_run_sharded:
                self._count_steps(instance, job, event.run_id)

    def steps_succeeded(self, events: Sequence[EventLogEntry]) -> None:
        """Count steps that succeeded."""
        for event in events:
            found = event.dagster_event
            if found is not None and event.step_key is not None:
                seconds = found.step_success_data.duration_ms / 1e3
                self._step(event.job_name or "", event.step_key, "success", seconds)

    def metrics(self) -> Iterator[Metric]:
        """The families."""
        families = (self._runs, self._last, self._seconds, self._steps, self._queue)
        for family in families:
            yield family.metric()

    def _job(self, event: EventLogEntry) -> str:
        """The job of an event; its counters begin at 0."""
        job = event.job_name or ""
        for status in ENDS.values():
            self._runs.add(job, status, n=0)
        return job

    def _count_steps(self, instance: DagsterInstance, job: str, run_id: str) -> None:
        wanted = STEP_STATUSES
        if not instance.event_log_storage.is_run_sharded:
            wanted = {"FAILURE": "failure"}
        for step in instance.get_run_step_stats(run_id):
            status = wanted.get(step.status.value if step.status else "")
            if status and step.start_time is not None and step.end_time is not None:
                seconds = max(step.end_time - step.start_time, 0.0)
                self._step(job, step.step_key, status, seconds)

    def _step(self, job: str, key: str, status: str, seconds: float) -> None:
        # The key of a mapped step comes from data.
        self._steps.observe(job, key.partition("[")[0], status, value=seconds)


def _records(
    instance: DagsterInstance, events: Sequence[EventLogEntry]
) -> dict[str, RunRecord]:
    ids = sorted({event.run_id for event in events})
    records = instance.get_run_records(RunsFilter(run_ids=ids))
    return {record.dagster_run.run_id: record for record in records}
