"""Old runs of the Dagster instance: which may go, and removing them.

Dagster keeps runs, their events and their logs for ever. A run is kept while something
reads it: the lineage of a version that is kept, a sensor that would otherwise ask again
for what it asked before, and the UI and automation, which take an asset without its
newest materialization for one that was never made.
"""

import datetime as dt
from collections.abc import Iterator
from typing import NamedTuple

import dagster as dg

from ml_assets.lifecycle.retention import DAY
from ml_assets.lifecycle.run_events import (
    DELIVERY_TAG,
    FINISHED,
    NewestEvents,
    remove,
    remove_remains,
)
from ml_assets.observability.notifications.event_sources import RUN_ID, materializations
from ml_assets.state.ledger import Ledger
from ml_assets.state.plans import Plans
from ml_assets.state.versions import Versions

# Runs that ended longer ago are removed; docs/operate.md has the figure, too.
RUN_DAYS = 30.0
# Removed at most by one run; the next one goes on where it ended.
MOST = 2_000
PAGE = 100
# Dagster's tag with the code location of a run.
REPOSITORY = ".dagster/repository"


class Owner(NamedTuple):
    """Whose runs may go: a code location's, by its tag, or else by its jobs' names."""

    repository: str | None
    jobs: frozenset[str]

    def owns(self, run: dg.DagsterRun) -> bool:
        """Whether `run` is of this code location; those of others are theirs."""
        location = run.tags.get(REPOSITORY)
        if location is not None and self.repository is not None:
            return location == self.repository
        return run.job_name in self.jobs


class Purged(NamedTuple):
    """How many old runs went, how many stayed, and whether there may be more."""

    removed: int
    kept: int
    is_done: bool


def purge(
    instance: dg.DagsterInstance,
    owner: Owner,
    now: float,
    days: float = RUN_DAYS,
    most: int = MOST,
) -> Purged:
    """Remove runs that ended more than `days` ago and that nothing needs.

    Oldest first, and each whole before the next: what a killed process leaves is
    removed by the next one.

    Parameters
    ----------
    now : float
        Unix seconds.
    most : int
        Runs that go at most.
    """
    remove_remains(instance, now - DAY)
    needed = Needed(instance)
    before = dt.datetime.fromtimestamp(now - days * DAY, dt.UTC)
    wanted = dg.RunsFilter(statuses=FINISHED, updated_before=before)
    removed = kept = 0
    cursor: str | None = None
    while page := instance.get_runs(wanted, cursor, PAGE, ascending=True):
        for run in page:
            if not owner.owns(run) or needed.has(run):
                # What is not kept is gone: the next page begins after this one.
                cursor, kept = run.run_id, kept + 1
                continue
            if removed == most:
                return Purged(removed, kept, False)
            remove(instance, run.run_id)
            removed += 1
    return Purged(removed, kept, True)


class Needed:
    """Which runs somebody still reads."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        store = Versions()
        self._newest = NewestEvents(instance)
        self._versions = {model: {*store.names(model)} for model in store.models()}
        self._ids = {
            run_id
            for model in self._versions
            for run_id in self._lineage(instance, store, model)
        }

    def has(self, run: dg.DagsterRun) -> bool:
        """Whether `run` has to stay."""
        return (
            run.run_id in self._ids
            or DELIVERY_TAG in run.tags
            or self._is_asked_for(run)
            or self._newest.has(run.run_id)
        )

    def _is_asked_for(self, run: dg.DagsterRun) -> bool:
        """Whether a sensor counts it as an attempt, or would ask for it again.

        The gate's run key is the version, so that its runs stay as long as the version.
        The health sensor counts the rollbacks of the active plan.
        """
        model = run.tags.get("model", "")
        if run.tags.get("version") in self._versions.get(model, ()):
            return True
        failed = run.tags.get("failed_generation")
        if failed is None:
            return False
        plan = Plans().current(model)
        return plan is not None and failed == str(plan.generation)

    def _lineage(
        self, instance: dg.DagsterInstance, store: Versions, model: str
    ) -> Iterator[str]:
        """Runs that trained, judged, deployed or decided on a version that is kept."""
        versions = self._versions[model]
        yield from (store.get(model, name).run_id for name in versions)
        for entry in Ledger().entries(model):
            found = RUN_ID.search(entry.who)
            if found and entry.version in versions:
                yield found[1]
        judged: dict[str, str] = {}
        for record in materializations(instance, model, "evaluation", 0):
            event = record.asset_materialization
            version = event.metadata.get("version") if event else None
            # The newest of a version: training and the gate's sensor read it.
            if version is not None and str(version.value) in versions:
                judged[str(version.value)] = record.run_id
        yield from judged.values()
