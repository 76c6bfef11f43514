"""A fault of the infrastructure: tried again in the run, and by a later run.

It is never a verdict on a version. What a run cannot outlast, its sensor asks for once
more under a key of its own, later each time.
"""

import contextlib
from collections.abc import Iterator

import dagster as dg

from ml_assets.core.errors import UnavailableError

TRIES, WAIT_SECONDS = 5, 60
# On a run that ended with a verdict: another one would end with the same.
_VERDICT = "ml-assets/verdict"
_FIRST_PAUSE, _LONGEST_PAUSE = 120.0, 3600.0


@contextlib.contextmanager
def retrying(
    context: dg.AssetExecutionContext | dg.OpExecutionContext,
) -> Iterator[None]:
    """Have the step tried again where something that it needs does not answer.

    That is the registry, the target, the storage or the database.
    """
    from ml_assets.state.registry import RegistryError
    from ml_assets.targets import UnreachableError

    try:
        yield
    except (RegistryError, UnreachableError, UnavailableError) as error:
        context.log.warning(f"it is tried again: {error}")
        raise dg.RetryRequested(TRIES, WAIT_SECONDS) from error


@contextlib.contextmanager
def failing_on(*kinds: type[Exception]) -> Iterator[None]:
    """Fail the run, which tries no second time, where one of these is raised."""
    try:
        yield
    except kinds as error:
        raise dg.Failure(str(error), allow_retries=False) from error


def verdict(
    context: dg.AssetExecutionContext | dg.OpExecutionContext, error: Exception
) -> dg.Failure:
    """The failure of a run that nobody has to repeat, since its reason stays."""
    tags = {_VERDICT: type(error).__name__}
    context.instance.add_run_tags(context.run.run_id, tags)
    return dg.Failure(str(error), allow_retries=False)


def next_attempt(
    instance: dg.DagsterInstance, job: str, tags: dict[str, str], now: float
) -> int | None:
    """The number of the next run with these tags, from 1; None where none is due.

    One is due when there was none, or the last one failed and a pause has passed since,
    which doubles with each. One that somebody cancelled, or that
    ended with a `verdict`, is not asked for again.

    Parameters
    ----------
    now : float
        Unix seconds.
    """
    wanted = dg.RunsFilter(job_name=job, tags=tags)
    newest = instance.get_run_records(wanted, limit=1)
    if not newest:
        return 1
    (record,) = newest
    if not _is_to_repeat(record.dagster_run):
        return None
    failed = instance.get_runs_count(wanted)
    pause = min(_FIRST_PAUSE * 2 ** min(failed - 1, 10), _LONGEST_PAUSE)
    ended = record.end_time or record.update_timestamp.timestamp()
    return failed + 1 if now - ended >= pause else None


def is_settled(instance: dg.DagsterInstance, job: str, tags: dict[str, str]) -> bool:
    """Whether the last run with these tags is over, and no other one follows it."""
    runs = instance.get_runs(dg.RunsFilter(job_name=job, tags=tags), limit=1)
    return any(run.is_finished and not _is_to_repeat(run) for run in runs)


def _is_to_repeat(run: dg.DagsterRun) -> bool:
    return run.status is dg.DagsterRunStatus.FAILURE and _VERDICT not in run.tags
