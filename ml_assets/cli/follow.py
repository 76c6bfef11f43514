"""Reading a run's events from the instance while the run goes on."""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dagster import DagsterEvent, DagsterInstance, DagsterRun

    Listener = Callable[[DagsterEvent], None]

POLL_SECONDS = 0.25


def find_run(
    instance: "DagsterInstance", tags: Mapping[str, str], job: str | None = None
) -> "DagsterRun | None":
    """The newest run with these tags, and of this job."""
    from dagster import RunsFilter

    wanted = RunsFilter(tags=dict(tags), job_name=job)
    found = instance.get_runs(wanted, limit=1)
    return found[0] if found else None


class RunFollower:
    """Hands each event of a run to `listener` once, in order."""

    def __init__(self, instance: "DagsterInstance", listener: "Listener") -> None:
        self._instance = instance
        self._listener = listener
        self._cursor: str | None = None

    def catch_up(self, run_id: str) -> None:
        """Hand over what was recorded since the last call."""
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
    """Tell `listener` of the run with `tags` while the block executes it."""
    done = threading.Event()
    follower = RunFollower(instance, listener)
    found: list[str] = []

    def look() -> None:
        # Which run it is has to be asked until there is one, and never again.
        if not found and (run := find_run(instance, tags)) is not None:
            found.append(run.run_id)
        for run_id in found:
            follower.catch_up(run_id)

    def watch() -> None:
        while not done.wait(POLL_SECONDS):
            look()

    thread = threading.Thread(target=watch, name="run-follower", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        look()
