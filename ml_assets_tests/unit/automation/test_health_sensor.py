"""A plan that no running server can serve is rolled back, once."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from ml_assets.serving.models.rendezvous import Rendezvous, ServerLease, ServerReport
from ml_assets_tests.conftest import definitions_of
from ml_assets_tests.kits.records import add_version, serve_version
from ml_assets_tests.kits.runs import end_newest, long_ago, run_of


@pytest.fixture
def leases(home: Path) -> Iterator[list[ServerLease]]:
    """Two running servers, and two active plans one after the other."""
    for version in ("20261122T020000Z", "20261123T020000Z"):
        serve_version(home, add_version(home, version))
    leases = [ServerLease(home, server) for server in ("one", "two")]
    yield leases
    for lease in leases:
        lease.release()


def tick(
    make_spec: Any,
    state: dict[str, tuple[str, int]],
    home: Path,
    instance: dg.DagsterInstance | None = None,
) -> Any:
    store = Rendezvous(home)
    for server, (reported, generation) in state.items():
        reported, _, proposal = reported.partition(" of ")
        report: Any = {"server": server, "state": reported, "generation": generation}
        report["proposal"] = proposal or None
        store.report(ServerReport(model="churn", reason="it crashed", **report))
    sensor = definitions_of(make_spec()).resolve_sensor_def("health")
    if instance is not None:
        return sensor.evaluate_tick(dg.build_sensor_context(instance=instance))
    with dg.DagsterInstance.ephemeral() as nobody:
        return sensor.evaluate_tick(dg.build_sensor_context(instance=nobody))


def test_all_servers_failing_starts_one_rollback(
    make_spec: Any, home: Path, leases: list[ServerLease]
) -> None:
    state = {"one": ("failed", 2), "two": ("failed", 2)}
    (request,) = tick(make_spec, state, home).run_requests
    assert request.run_key == "churn:2"
    reason = "no server can serve plan 2: it crashed"
    assert request.run_config == {
        "ops": {"churn__roll_back": {"config": {"reason": reason}}}
    }


def test_a_rollback_whose_run_failed_is_asked_for_again(
    make_spec: Any, home: Path, leases: list[ServerLease], instance: dg.DagsterInstance
) -> None:
    state = {"one": ("failed", 2), "two": ("failed", 2)}
    keys = []
    for _ in range(3):
        (request,) = tick(make_spec, state, home, instance).run_requests
        keys.append(request.run_key)
        run_of(instance, "churn_rollback", request.tags, dg.DagsterRunStatus.STARTED)
        assert tick(make_spec, state, home, instance).run_requests == []
        end_newest(instance, dg.DagsterRunStatus.FAILURE)
        assert tick(make_spec, state, home, instance).run_requests == []
        long_ago(instance)
    assert keys == ["churn:2", "churn:2:2", "churn:2:3"]


def test_a_rollback_that_has_nowhere_to_go_is_asked_for_once(
    make_spec: Any, home: Path, instance: dg.DagsterInstance, run_job: Any
) -> None:
    """Weeks of a broken only version are one failed run, not one an hour."""
    serve_version(home, add_version(home, "20261122T020000Z"))
    lease = ServerLease(home, "one")
    (request,) = tick(make_spec, {"one": ("failed", 1)}, home, instance).run_requests
    result = run_job(
        make_spec(), "rollback", request.run_config["ops"], **dict(request.tags)
    )
    assert not result.success
    long_ago(instance)
    assert tick(make_spec, {"one": ("failed", 1)}, home, instance).run_requests == []
    lease.release()


HEALTHY: dict[str, dict[str, tuple[str, int]]] = {
    "one of two": {"one": ("failed", 2), "two": ("ready", 2)},
    "the plan before": {"one": ("failed", 1), "two": ("failed", 1)},
    "a proposal": {"one": ("failed of 3", 2), "two": ("failed of 3", 2)},
    "not reported yet": {"one": ("failed", 2)},
}


@pytest.mark.parametrize("state", HEALTHY.values(), ids=HEALTHY)
def test_anything_less_starts_none(
    make_spec: Any,
    home: Path,
    leases: list[ServerLease],
    state: dict[str, tuple[str, int]],
) -> None:
    assert tick(make_spec, state, home).run_requests == []


def test_without_servers_or_plan_nothing_is_rolled_back(
    make_spec: Any, home: Path
) -> None:
    assert tick(make_spec, {}, home).run_requests == []
    serve_version(home, add_version(home, "20261122T020000Z"))
    found = tick(make_spec, {}, home)
    assert found.run_requests == []
    assert found.skip_message == "each plan is served, or no server runs"
