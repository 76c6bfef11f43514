"""Runs in an instance as a daemon would have left them."""

from collections.abc import Mapping

import dagster as dg
import sqlalchemy as db
from dagster._core.storage.runs.schema import RunsTable

DAYS = 2 * 86_400


def run_of(
    instance: dg.DagsterInstance,
    job: str,
    tags: Mapping[str, str],
    status: dg.DagsterRunStatus,
) -> None:
    """A run of `job`."""
    run = dg.DagsterRun(job_name=job, tags=dict(tags), status=status)
    instance.add_run(run)


def end_newest(instance: dg.DagsterInstance, status: dg.DagsterRunStatus) -> None:
    """End the run that was added last."""
    (record,) = instance.get_run_records(limit=1)
    event = {
        dg.DagsterRunStatus.FAILURE: dg.DagsterEventType.PIPELINE_FAILURE,
        dg.DagsterRunStatus.CANCELED: dg.DagsterEventType.PIPELINE_CANCELED,
        dg.DagsterRunStatus.SUCCESS: dg.DagsterEventType.PIPELINE_SUCCESS,
    }[status]
    run = record.dagster_run
    instance.report_dagster_event(
        dg.DagsterEvent(event.value, run.job_name, message="ended"), run.run_id
    )


def long_ago(instance: dg.DagsterInstance) -> None:
    """Move the end of all runs to two days ago."""
    with instance.run_storage.connect() as connection:  # type: ignore[attr-defined]
        ended = RunsTable.c.end_time
        connection.execute(db.update(RunsTable).values(end_time=ended - DAYS))
