"""What Dagster keeps of a run: its events, their copies, and the logs of its steps."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
from dagster._core.storage.event_log import SqlEventLogStorage, SqliteEventLogStorage
from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable

_KINDS = {
    dg.DagsterEventType.ASSET_MATERIALIZATION,
    dg.DagsterEventType.ASSET_OBSERVATION,
    dg.DagsterEventType.ASSET_CHECK_EVALUATION,
}
_EVENTS = 10_000
# Statuses of runs that are over, and of all others.
FINISHED = [
    dg.DagsterRunStatus.SUCCESS,
    dg.DagsterRunStatus.FAILURE,
    dg.DagsterRunStatus.CANCELED,
]
UNFINISHED = [status for status in dg.DagsterRunStatus if status not in FINISHED]
# A run that carries it tries to deliver what the value names.
DELIVERY_TAG = "ml_assets/delivery"


class NewestEvents:
    """Which runs made the newest event of an asset, a partition of it, or a check."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self._instance = instance
        self._known: dict[object, str | None] = {}
        records = instance.get_asset_records(instance.get_asset_keys())
        # What an asset's last run came to is asked of the run.
        self._last = {record.asset_entry.last_run_id for record in records}

    def has(self, run_id: str) -> bool:
        """Whether the newest of anything is of this run."""
        return run_id in self._last or any(
            self._newest(event) == run_id for event in self._events(run_id)
        )

    def _events(self, run_id: str) -> Iterator[dg.DagsterEvent]:
        records = self._instance.get_records_for_run(
            run_id, of_type=_KINDS, limit=_EVENTS
        ).records
        for record in records:
            event = record.event_log_entry.dagster_event
            if event is not None:
                yield event

    def _newest(self, event: dg.DagsterEvent) -> str | None:
        """The run of the newest event of the same kind on the same thing."""
        if event.event_type is dg.DagsterEventType.ASSET_CHECK_EVALUATION:
            data = event.asset_check_evaluation_data
            checked = dg.AssetCheckKey(data.asset_key, data.check_name)
            if checked not in self._known:
                self._known[checked] = self._newest_check(checked)
            return self._known[checked]
        if event.asset_key is None:
            return None
        about = (event.event_type, event.asset_key, event.partition)
        if about not in self._known:
            self._known[about] = self._newest_asset(*about)
        return self._known[about]

    def _newest_check(self, checked: dg.AssetCheckKey) -> str | None:
        storage = self._instance.event_log_storage
        found = storage.get_asset_check_execution_history(checked, limit=1)
        return found[0].run_id if found else None

    def _newest_asset(
        self, kind: dg.DagsterEventType, asset: dg.AssetKey, partition: str | None
    ) -> str | None:
        wanted = dg.AssetRecordsFilter(asset, [partition] if partition else None)
        if kind is dg.DagsterEventType.ASSET_OBSERVATION:
            found = self._instance.fetch_observations(wanted, limit=1).records
        else:
            found = self._instance.fetch_materializations(wanted, limit=1).records
        return found[0].run_id if found else None


def remove(instance: dg.DagsterInstance, run_id: str) -> None:
    """Remove a run, and all that is found through it first."""
    instance.compute_log_manager.delete_logs(prefix=[run_id])
    storage = instance.event_log_storage
    if isinstance(storage, SqlEventLogStorage):
        # Dagster leaves them, with a copy of each event.
        executions = AssetCheckExecutionsTable
        with storage.index_connection() as connection:
            connection.execute(executions.delete().where(executions.c.run_id == run_id))
    storage.delete_events(run_id)
    instance.delete_run(run_id)
    _remove_shard(storage, run_id)


def remove_remains(instance: dg.DagsterInstance, before: float) -> None:
    """Remove the databases of runs that are gone: their removal was killed.

    Parameters
    ----------
    before : float
        Unix seconds; what was written later may be of a run that begins.
    """
    storage = instance.event_log_storage
    if not isinstance(storage, SqliteEventLogStorage):
        return
    for path in Path(storage.path_for_shard("x")).parent.glob("*-*-*-*-*.db"):
        if path.stat().st_mtime < before and not instance.has_run(path.stem):
            remove(instance, path.stem)


def _remove_shard(storage: object, run_id: str) -> None:
    """The SQLite file of a run, which Dagster only empties."""
    if isinstance(storage, SqliteEventLogStorage):
        path = storage.path_for_shard(run_id)
        for name in (f"{path}-wal", f"{path}-shm", path):
            Path(name).unlink(missing_ok=True)
