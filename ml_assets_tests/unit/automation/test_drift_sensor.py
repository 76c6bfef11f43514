"""When drift leads to training."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from ml_assets.lifecycle.drift_reports import DRIFTED_COLUMNS
from ml_assets.state.versions import Versions
from ml_assets_tests.conftest import definitions_of
from ml_assets_tests.kits.cli import record
from ml_assets_tests.kits.runs import run_of

Tick = Callable[[str | None], dg.SensorResult]


def report(instance: dg.DagsterInstance, name: str, **given: Any) -> None:
    """A drift report in the event log, as the asset writes it."""
    metadata = {"report_id": name, "drifted": True, "raw_version": "", **given}
    event = dg.AssetMaterialization(["churn", "drift"], metadata=metadata)
    instance.report_runless_asset_event(event)


@pytest.fixture
def tick(instance: dg.DagsterInstance, make_spec: Any) -> Callable[..., Any]:
    def run(cursor: str | None = None, **monitoring: Any) -> dg.SensorResult:
        sensor = definitions_of(make_spec(monitoring=monitoring)).resolve_sensor_def(
            "drift"
        )
        context = dg.build_sensor_context(instance=instance, cursor=cursor)
        result = sensor(context)
        assert isinstance(result, dg.SensorResult)
        return result

    return run


def launched(result: dg.SensorResult) -> list[str]:
    keys = [request.run_key or "" for request in result.run_requests or []]
    assert all(key.startswith("churn:") for key in keys)
    return [key.removeprefix("churn:") for key in keys]


def reason_of(result: dg.SensorResult) -> str:
    assert isinstance(result.skip_reason, dg.SkipReason)
    return str(result.skip_reason.skip_message)


def test_drift_trains_with_force_and_the_report_as_key(
    tick: Any, instance: Any
) -> None:
    report(instance, "predictions-v1-a")
    result = tick()
    (request,) = result.run_requests
    assert request.run_key == "churn:predictions-v1-a"
    # The same data again is no remedy, so that nothing is forced.
    assert request.run_config == {}
    assert launched(tick(result.cursor)) == []


@pytest.mark.parametrize("hours, expected", [(24, ["a"]), (0, ["a", "b"])])
def test_training_waits_for_the_cool_down(
    tick: Any, instance: Any, hours: float, expected: list[str]
) -> None:
    report(instance, "a")
    report(instance, "b")
    result = tick(cooldown_hours=hours)
    assert launched(result) == expected
    report(instance, "c")
    again = tick(result.cursor, cooldown_hours=hours)
    assert launched(again) == ([] if hours else ["c"])
    if hours:
        assert reason_of(again) == (
            "churn, c: drift, and training was asked for less than 24 hours ago"
        )


def test_no_drift_trains_nothing(tick: Any, instance: Any) -> None:
    report(instance, "a", drifted=False)
    assert reason_of(tick()) == "churn, a: no drift"
    assert reason_of(tick(tick().cursor)) == "no new drift report"


def test_data_that_a_version_was_trained_on_is_not_trained_on_again(
    tick: Any, instance: Any, home: Path
) -> None:
    Versions().save(record("churn", "v2", raw_version="new"))
    report(instance, "raw-v1-new", raw_version="new")
    assert reason_of(tick()) == "churn, raw-v1-new: version v2 was trained on that data"


def test_the_same_drift_of_the_same_champion_is_a_reason_once(
    tick: Any, instance: Any
) -> None:
    """Weeks go by in which what was trained does not pass its gate."""
    about: dict[str, Any] = {"version": "v1", DRIFTED_COLUMNS: ["age"]}
    report(instance, "a", **about)
    first = tick(cooldown_hours=0)
    report(instance, "b", **about)
    second = tick(first.cursor, cooldown_hours=0)
    assert launched(first) == ["a"] and launched(second) == []
    assert reason_of(second) == (
        "churn, b: training was asked for this drift from v1 before"
    )
    # Another column, and another champion, are other drifts.
    report(instance, "c", **about | {DRIFTED_COLUMNS: ["age", "fee"]})
    third = tick(second.cursor, cooldown_hours=0)
    report(instance, "d", **about | {"version": "v2"})
    fourth = tick(third.cursor, cooldown_hours=0)
    report(instance, "e", **about | {"version": "v2"})
    assert launched(third) == ["c"] and launched(fourth) == ["d"]
    assert launched(tick(fourth.cursor, cooldown_hours=0)) == []


def test_without_a_schedule_drift_is_the_only_reason_and_counts_again(
    tick: Any, instance: Any, make_spec: Any
) -> None:
    about: dict[str, Any] = {"version": "v1", DRIFTED_COLUMNS: ["age"]}
    spec = make_spec(schedule=None, monitoring={"cooldown_hours": 0})
    sensor = definitions_of(spec).resolve_sensor_def("drift")
    for name in ("a", "b"):
        report(instance, name, **about)
    found = sensor(dg.build_sensor_context(instance=instance))
    assert isinstance(found, dg.SensorResult) and launched(found) == ["a", "b"]


def test_a_sensor_that_lost_its_cursor_asks_for_no_training_again(
    tick: Any, instance: dg.DagsterInstance
) -> None:
    about: dict[str, Any] = {"version": "v1", DRIFTED_COLUMNS: ["age"]}
    for name in ("a", "b"):
        report(instance, name, **about)
    (request,) = tick(cooldown_hours=0).run_requests
    run_of(instance, "churn_train", request.tags, dg.DagsterRunStatus.SUCCESS)
    assert launched(tick(cooldown_hours=0)) == []
