"""Running a job of a model in this process, and following runs by their events."""

import sys
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, TextIO

import click

from ml_assets.cli.activity import activity, copy_of
from ml_assets.cli.context import user
from ml_assets.cli.instance import dagster_instance
from ml_assets.cli.output import Failed, quiet_libraries
from ml_assets.cli.processes import heeding_termination
from ml_assets.cli.run_report import RunReport, print_line
from ml_assets.core import progress

if TYPE_CHECKING:
    from dagster import DagsterEvent, DagsterInstance, DagsterRun, JobDefinition

    Listener = Callable[[DagsterEvent], None]

INVOCATION = "ml_assets/invocation"
POLL_SECONDS = 0.25
# Dagster's own console lines would stand between ours.
QUIET = {"console": {"config": {"log_level": "CRITICAL"}}}


class Executed(NamedTuple):
    """A run that ended, and the report of its events."""

    run_id: str
    succeeded: bool
    report: RunReport


def job_named(name: str) -> "JobDefinition":
    """A job of the code location; Dagster calls this to find it again."""
    from ml_assets.definitions import job

    return job(name)


def run_job(
    model: str,
    job: str,
    config: Mapping[str, Any],
    tags: Mapping[str, str],
    stream: TextIO | None = None,
) -> Executed:
    """Run ``<model>_<job>`` here and print its events as they come.

    Parameters
    ----------
    model, job : str
        The job ``<model>_<job>`` of the code location.
    config : mapping
        Stage to the options of its asset.
    tags : mapping of str to str
        Tags of the run.
    stream : text file, optional
        Where its events are printed; standard error by default.
    """
    quiet_libraries()
    with (
        dagster_instance() as instance,
        copy_of(stream or sys.stderr) as out,
        activity(stream=out) as shown,
        progress.listening(shown.count),
    ):
        report = RunReport(model, partial(print_line, stream=out), shown.show)
        return _execute(instance, f"{model}_{job}", _ops(model, config), tags, report)


def _ops(model: str, config: Mapping[str, Any]) -> dict[str, Any]:
    return {
        f"{model}__{stage}": {"config": dict(options)}
        for stage, options in config.items()
        if options
    }


def _execute(
    instance: "DagsterInstance",
    job: str,
    ops: Mapping[str, Any],
    tags: Mapping[str, str],
    report: RunReport,
) -> Executed:
    import dagster as dg

    named = dg.build_reconstructable_job(__name__, "job_named", (job,))
    invocation = {INVOCATION: uuid.uuid4().hex}
    try:
        # A stop must end the run's record as well as the process.
        with heeding_termination(), following(instance, invocation, report):
            result = dg.execute_job(
                named,
                instance=instance,
                run_config={"ops": dict(ops), "loggers": QUIET},
                tags={"user": user(), **tags, **invocation},
                raise_on_error=False,
            )
    except dg.DagsterExecutionInterruptedError as error:
        raise click.Abort from error
    except dg.DagsterError as error:
        raise Failed(f"job {job} cannot run: {error}") from error
    return Executed(result.run_id, result.success, report)


def find_run(
    instance: "DagsterInstance", tags: Mapping[str, str], job: str | None = None
) -> "DagsterRun | None":
    """The newest run with these tags, and of this job."""
    from dagster import RunsFilter

    wanted = RunsFilter(tags=dict(tags), job_name=job)
    found = instance.get_runs(wanted, limit=1)
    return found[0] if found else None


class RunFollower:
    """Calls `listener` with each event of a run once, in order."""

    def __init__(self, instance: "DagsterInstance", listener: "Listener") -> None:
        self._instance = instance
        self._listener = listener
        self._cursor: str | None = None

    def catch_up(self, run_id: str) -> None:
        """Read what was recorded since the last call."""
        while True:
            page = self._instance.get_records_for_run(run_id, self._cursor, limit=100)
            self._cursor = page.cursor
            for record in page.records:
                event = record.event_log_entry.dagster_event
                if event is not None:
                    self._listener(event)
            if not page.has_more:
                return


@contextmanager
def following(
    instance: "DagsterInstance", tags: Mapping[str, str], listener: "Listener"
) -> Iterator[None]:
    """Call `listener` with the events of the block's run, which has these tags."""
    done = threading.Event()
    follower = RunFollower(instance, listener)
    found: list[str] = []

    def poll() -> None:
        # Which run it is has to be asked until there is one, and never again.
        if not found and (run := find_run(instance, tags)) is not None:
            found.append(run.run_id)
        for run_id in found:
            follower.catch_up(run_id)

    def watch() -> None:
        while not done.wait(POLL_SECONDS):
            poll()

    thread = threading.Thread(target=watch, name="run-follower", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        poll()
