"""SIGKILL at a change of the storage or of the state, found by counting them."""

import functools
import os
import signal
from collections.abc import Callable
from typing import Any

import obstore
from sqlalchemy import Connection


def die_at(number: int) -> None:
    """Kill this process before or after a change, counted from 0.

    Before its first change it is 0, after that 1, before the second 2, and so on. Each
    write and removal of an object is a change, and so is each commit of the state.
    """
    left = [number]

    def strike() -> None:
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)
        left[0] -= 1

    def counted(change: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(change)
        def call(*given: Any, **named: Any) -> Any:
            strike()
            found = change(*given, **named)
            strike()
            return found

        return call

    for name in ("put", "delete"):
        setattr(obstore, name, counted(getattr(obstore, name)))
    # Dagster's and MLflow's transactions do not come this way.
    Connection.commit = counted(Connection.commit)  # type: ignore[method-assign]
