"""Old runs go whole, and nobody who reads runs is misled by it."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from ml_assets.assets import runs
from ml_assets.lifecycle import run_events
from ml_assets.lifecycle.retention import DAY
from ml_assets.lifecycle.run_retention import REPOSITORY, Owner, Purged, purge
from ml_assets.state.versions import Versions
from ml_assets_tests.conftest import definitions_of, failure_of
from ml_assets_tests.kits.processes import CONTEXT
from ml_assets_tests.kits.runs import end_newest, run_of

pytestmark = pytest.mark.slow

Run = Callable[..., dg.ExecuteInProcessResult]
FAILURE, SUCCESS = dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.SUCCESS
OURS = Owner(None, frozenset({"churn_train", "churn_deploy", "churn_rollback", "idle"}))
LATER = 40 * DAY


@pytest.fixture
def instance(home: Path) -> Iterator[dg.DagsterInstance]:
    """An instance with its databases on the disk."""
    (home / "dagster").mkdir()
    with dg.DagsterInstance.local_temp(str(home / "dagster")) as found:
        yield found


def purge_later(
    instance: dg.DagsterInstance, root: Path, owner: Owner = OURS, **given: Any
) -> Purged:
    """The purge, as if 40 days had passed."""
    return purge(instance, owner, time.time() + LATER, **given)


def ended(
    instance: dg.DagsterInstance,
    job: str,
    status: dg.DagsterRunStatus = SUCCESS,
    **tags: str,
) -> str:
    """A run that ended; its id."""
    run_of(instance, job, tags, dg.DagsterRunStatus.STARTED)
    end_newest(instance, status)
    return str(instance.get_run_records(limit=1)[0].dagster_run.run_id)


def asked(
    sensor: dg.SensorDefinition, instance: dg.DagsterInstance, cursor: str
) -> Any:
    """What a sensor asks for, and its cursor."""
    with dg.build_sensor_context(instance=instance, cursor=cursor or None) as context:
        return sensor.evaluate_tick(context)


@dg.asset
def number() -> int:
    return 1


@dg.asset_check(asset=number)
def positive() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=True)


def materialize(instance: dg.DagsterInstance) -> str:
    return dg.materialize([number, positive], instance=instance).run_id


def remains(home: Path, run_id: str) -> list[Path]:
    return [path for path in home.rglob("*") if run_id in path.as_posix()]


def test_an_old_run_goes_with_its_events_checks_and_logs_and_the_newest_stays(
    home: Path, instance: dg.DagsterInstance
) -> None:
    owner = Owner(None, frozenset({"__ephemeral_asset_job__"}))
    old, new = materialize(instance), materialize(instance)
    assert remains(home, old)
    assert purge(instance, owner, time.time()) == Purged(0, 0, True)
    assert purge_later(instance, home, owner) == Purged(1, 1, True)
    assert remains(home, old) == [] and not instance.has_run(old)
    assert remains(home, new) and instance.has_run(new)
    event = instance.get_latest_materialization_event(number.key)
    assert event is not None and event.run_id == new
    storage = instance.event_log_storage
    history = storage.get_asset_check_execution_history(positive.check_key, limit=9)
    assert [item.run_id for item in history] == [new]
    assert purge_later(instance, home, owner) == Purged(0, 1, True)


@pytest.mark.parametrize(
    "kind", ["observation", "materialization", "partition", "check"]
)
def test_the_newest_event_of_each_kind_stays(
    kind: str, home: Path, instance: dg.DagsterInstance
) -> None:
    key = dg.AssetKey("thing")
    events: dict[str, Callable[[str], Any]] = {
        "observation": lambda _: dg.AssetObservation(key),
        "materialization": lambda _: dg.AssetMaterialization(key),
        "partition": lambda name: dg.AssetMaterialization(key, partition=name),
    }

    def run(name: str) -> str:
        if kind == "check":
            return materialize(instance)

        @dg.op
        def step(context: dg.OpExecutionContext) -> None:
            context.log_event(events[kind](name))

        @dg.job(executor_def=dg.in_process_executor)
        def idle() -> None:
            step()

        return idle.execute_in_process(instance=instance).run_id

    owner = Owner(None, frozenset({"idle", "__ephemeral_asset_job__"}))
    old, first, second = run("a"), run("a"), run("b")
    purge_later(instance, home, owner)
    kept = {old: False, first: kind == "partition", second: True}
    assert {run_id: instance.has_run(run_id) for run_id in kept} == kept


@pytest.mark.parametrize(
    "status",
    [
        dg.DagsterRunStatus.STARTING,
        dg.DagsterRunStatus.STARTED,
        dg.DagsterRunStatus.CANCELING,
    ],
)
def test_a_run_that_has_not_ended_stays_however_old(
    status: dg.DagsterRunStatus, home: Path, instance: dg.DagsterInstance
) -> None:
    run_of(instance, "idle", {}, status)
    assert purge_later(instance, home).removed == 0


@pytest.mark.parametrize(
    "owner, tags, goes",
    [
        (Owner("ours", frozenset()), {REPOSITORY: "ours"}, True),
        (Owner("ours", frozenset({"idle"})), {REPOSITORY: "theirs"}, False),
        (Owner("ours", frozenset({"idle"})), {}, True),
        (Owner(None, frozenset({"other"})), {}, False),
    ],
    ids=[
        "of a job that was removed from ours",
        "of another code location with a job of that name",
        "of one of our jobs, begun by a command",
        "of an unknown job",
    ],
)
def test_runs_of_other_code_locations_stay(
    owner: Owner,
    tags: dict[str, str],
    goes: bool,
    home: Path,
    instance: dg.DagsterInstance,
) -> None:
    run_id = ended(instance, "idle", **tags)
    purge_later(instance, home, owner)
    assert instance.has_run(run_id) is not goes


def test_one_tick_removes_so_many_and_the_next_goes_on(
    home: Path, instance: dg.DagsterInstance
) -> None:
    ids = [ended(instance, "idle") for _ in range(5)]
    assert purge_later(instance, home, most=2) == Purged(2, 0, False)
    assert [instance.has_run(run_id) for run_id in ids] == [False] * 2 + [True] * 3
    assert purge_later(instance, home, most=3) == Purged(3, 0, True)


def test_after_a_purge_no_sensor_asks_for_what_it_asked_before(
    make_spec: Any, run_job: Run, home: Path, instance: dg.DagsterInstance
) -> None:
    spec = make_spec()
    definitions = definitions_of(spec)
    gate = definitions.resolve_sensor_def("gate")
    trained = run_job(spec, "train")
    assert trained.success, failure_of(trained)
    (version,) = Versions().names("churn")
    first = asked(gate, instance, "")
    (request,) = first.run_requests
    deployed = run_job(spec, "deploy", model="churn", version=version)
    assert deployed.success, failure_of(deployed)
    idle = [ended(instance, "idle") for _ in range(3)]

    purge_later(instance, home)
    assert not any(instance.has_run(run_id) for run_id in idle)
    # Lineage's runs, and those by whose tags a run key is recognized.
    assert instance.has_run(trained.run_id) and instance.has_run(deployed.run_id)
    assert asked(gate, instance, first.cursor).run_requests == []
    # Nothing changed: it is not trained, and so not judged and asked for, anew.
    again = run_job(spec, "train")
    assert again.success and Versions().names("churn") == [version]
    materialized = {
        event.asset_key.path[-1]
        for event in again.get_asset_materialization_events()
        if event.asset_key is not None
    }
    assert "model" not in materialized
    tags = instance.get_run_by_id(deployed.run_id)
    assert tags is not None and tags.tags["version"] == request.tags["version"]


def test_attempts_that_a_sensor_counts_stay(
    make_spec: Any, run_job: Run, home: Path, instance: dg.DagsterInstance
) -> None:
    spec = make_spec()
    assert run_job(spec, "train").success and run_job(spec, "deploy").success
    (version,) = Versions().names("churn")
    tags_of: dict[str, dict[str, str]] = {
        "churn_deploy": {"model": "churn", "version": version},
        "churn_rollback": {"model": "churn", "failed_generation": "1"},
        # A release.
        "idle": {"ml_assets/delivery": "sha256:1"},
    }
    kept = {
        job: [ended(instance, job, FAILURE, **tags) for _ in range(3)]
        for job, tags in tags_of.items()
    }
    old = {"model": "churn", "version": "20200101T000000Z"}
    gone = [ended(instance, job, FAILURE, **old) for job in tags_of]
    purge_later(instance, home)
    for job, ids in kept.items():
        assert all(instance.has_run(run_id) for run_id in ids), job
    assert not any(instance.has_run(run_id) for run_id in gone)


def _purge_and_die(home: str, at: int) -> None:
    """Purge, and be killed before the `at`-th thing that is removed."""
    calls = 0

    def counting(usual: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any, **named: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == at:
                os.kill(os.getpid(), signal.SIGKILL)
            return usual(*given, **named)

        return call

    with dg.DagsterInstance.local_temp(f"{home}/dagster") as instance:
        storage: Any = instance.event_log_storage
        storage.delete_events = counting(storage.delete_events)
        runs_storage: Any = instance.run_storage
        runs_storage.delete_run = counting(runs_storage.delete_run)
        run_events._remove_shard = counting(run_events._remove_shard)
        purge_later(
            instance, Path(home), Owner(None, frozenset({"__ephemeral_asset_job__"}))
        )


# Of one run: its events, the run, what Dagster tries of its events, and their file.
@pytest.mark.parametrize("at", range(1, 10, 2))
def test_a_purge_that_is_killed_is_finished_by_the_next(
    at: int, home: Path, instance: dg.DagsterInstance
) -> None:
    ids = [materialize(instance) for _ in range(3)]
    process = CONTEXT.Process(target=_purge_and_die, args=(str(home), at))
    process.start()
    process.join(120)
    assert process.exitcode in (-signal.SIGKILL, 0)
    owner = Owner(None, frozenset({"__ephemeral_asset_job__"}))
    purge_later(instance, home, owner)
    assert [bool(remains(home, run_id)) for run_id in ids] == [False, False, True]
    with instance.event_log_storage.index_connection() as connection:  # type: ignore
        rows = connection.exec_driver_sql("SELECT DISTINCT run_id FROM event_logs")
        assert {run_id for (run_id,) in rows} == {ids[-1]}


def test_the_asset_removes_and_shows_counts(
    home: Path, instance: dg.DagsterInstance
) -> None:
    done = (
        runs.build([]).resolve_job_def(runs.NAME).execute_in_process(instance=instance)
    )
    assert done.success
    (event,) = done.get_asset_materialization_events()
    metadata = event.materialization.metadata
    assert {name: item.value for name, item in metadata.items()} == {
        "removed": 0,
        "kept": 0,
        "is_done": True,
    }
