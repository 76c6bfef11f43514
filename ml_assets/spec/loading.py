"""What is switched off while definitions are loaded."""

import contextlib
import gc
import warnings
from collections.abc import Iterator

import dagster as dg
from dagster._core.definitions.definitions_load_context import (
    DefinitionsLoadContext,
    DefinitionsLoadType,
)


@contextlib.contextmanager
def without_collector() -> Iterator[None]:
    """Nothing that is made can be freed, and to search it takes a third of the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if DefinitionsLoadContext.is_set():
            # A process of Dagster's keeps the definitions as long as it lives. Before
            # the collector is on again, since it would search all of them at once.
            gc.freeze()
        if was_on:
            gc.enable()


def describe(repository: dg.RepositoryDefinition) -> None:
    """Make the jobs and their snapshots, which a code server is asked for at once.

    Dagster keeps them. It would make them with the collector on.
    """
    if _is_loaded_as(DefinitionsLoadType.INITIALIZATION):
        for job in repository.get_all_jobs():
            job.get_job_snapshot_id()


@contextlib.contextmanager
def without_warnings() -> Iterator[None]:
    """None of what is new in Dagster, as where it loads all definitions itself."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)
        warnings.simplefilter("ignore", dg.PreviewWarning)
        yield


def is_run_process() -> bool:
    """Whether Dagster loads the definitions to execute a run that exists."""
    return _is_loaded_as(DefinitionsLoadType.RECONSTRUCTION)


def _is_loaded_as(kind: DefinitionsLoadType) -> bool:
    context = DefinitionsLoadContext
    return context.is_set() and context.get().load_type is kind
