"""What is switched off while definitions are loaded."""

import contextlib
import gc
import warnings
from collections.abc import Iterator

import dagster as dg
from dagster._core.definitions.definitions_load_context import DefinitionsLoadContext


@contextlib.contextmanager
def without_collector() -> Iterator[None]:
    """Nothing that is made can be freed, and to search it takes a third of the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
        if DefinitionsLoadContext.is_set():
            # A process of Dagster's keeps the definitions as long as it lives.
            gc.freeze()


@contextlib.contextmanager
def without_warnings() -> Iterator[None]:
    """None of what is new in Dagster, as where it loads all definitions itself."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)
        warnings.simplefilter("ignore", dg.PreviewWarning)
        yield
