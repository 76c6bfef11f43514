"""Running a job of a model in this process, as Dagster's launcher would."""

import os
import sys
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, TextIO

import click

from ml_assets.cli.actor import user
from ml_assets.cli.follow import following
from ml_assets.cli.instance import dagster_instance
from ml_assets.cli.output import Failed, quiet_libraries
from ml_assets.cli.processes import heed_termination
from ml_assets.cli.run_reporter import Story

if TYPE_CHECKING:
    from dagster import DagsterInstance, JobDefinition

INVOCATION = "ml_assets/invocation"


class Executed(NamedTuple):
    """A run that ended, and what was told of it."""

    run_id: str
    succeeded: bool
    story: Story


def job_named(name: str) -> "JobDefinition":
    """A job of the code location; Dagster calls this to find it again."""
    from ml_assets.definitions import defs

    return defs().resolve_job_def(name)


def run_job(
    model: str,
    job: str,
    config: Mapping[str, Any],
    tags: Mapping[str, str],
    stream: TextIO | None = None,
) -> Executed:
    """Run ``<model>_<job>`` here and tell its events as they come.

    Parameters
    ----------
    model, job : str
        The job ``<model>_<job>`` of the code location.
    config : mapping
        Stage to the options of its asset.
    tags : mapping of str to str
        Tags of the run.
    stream : text file, optional
        Where its events are told; standard error by default.
    """
    quiet_libraries()
    with dagster_instance() as instance, _terminal(stream or sys.stderr) as out:
        story = Story(model, lambda text: click.echo(text, file=out))
        return _execute(instance, f"{model}_{job}", _ops(model, config), tags, story)


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
    story: Story,
) -> Executed:
    import dagster as dg

    # A stop must end the run's record as well as the process.
    heed_termination()
    named = dg.build_reconstructable_job(__name__, "job_named", (job,))
    invocation = {INVOCATION: uuid.uuid4().hex}
    # Dagster's own console lines would stand between ours.
    loggers = {"console": {"config": {"log_level": "CRITICAL"}}}
    try:
        with following(instance, invocation, story):
            result = dg.execute_job(
                named,
                instance=instance,
                run_config={"ops": dict(ops), "loggers": loggers},
                tags={"user": user(), **tags, **invocation},
                raise_on_error=False,
            )
    except dg.DagsterExecutionInterruptedError as error:
        raise click.Abort from error
    except dg.DagsterError as error:
        raise Failed(f"job {job} cannot run: {error}") from error
    return Executed(result.run_id, result.success, story)


@contextmanager
def _terminal(stream: TextIO) -> Iterator[TextIO]:
    """`stream` as it is now: Dagster sends what a run prints elsewhere."""
    stream.flush()
    try:
        descriptor = os.dup(stream.fileno())
    except (OSError, ValueError):
        # Under a test runner it may be no file; nothing is redirected then.
        yield stream
        return
    with os.fdopen(descriptor, "w", buffering=1, encoding="utf-8") as copy:
        yield copy
