"""When a model is trained, and when it is watched."""

import datetime as dt
from pathlib import Path
from typing import Any

import dagster as dg

from ml_assets.automation.jobs import build, why_not
from ml_assets.lifecycle.plan_transitions import challenge
from ml_assets.serving.models.rendezvous import ServerLease
from ml_assets_tests.kits.cli import record
from ml_assets_tests.kits.plans import commit
from ml_assets_tests.kits.prediction_log import NOON, line, ship


def schedules_of(spec: Any) -> dict[str, dg.ScheduleDefinition]:
    found = build(spec).schedules or ()
    return {s.name: s for s in found if isinstance(s, dg.ScheduleDefinition)}


def test_training_is_scheduled_on_sundays_at_two_utc(make_spec: Any) -> None:
    schedule = schedules_of(make_spec())["churn_schedule"]
    assert schedule.cron_schedule == "0 2 * * 0"
    assert schedule.execution_timezone == "UTC"
    assert schedule.default_status == dg.DefaultScheduleStatus.RUNNING


def test_a_model_without_schedule_has_none(make_spec: Any) -> None:
    assert "churn_schedule" not in schedules_of(make_spec(schedule=None))


def active(home: Path, count: int = 1) -> None:
    from ml_assets.spec.operation import ServingSpec

    spec, plan = ServingSpec(strategy="shadow"), None
    for number in range(count):
        plan = challenge(plan, record("churn", f"v{number}"), spec, "passed")
        commit(plan)


def test_a_model_that_serves_nothing_is_not_watched(make_spec: Any) -> None:
    assert why_not(make_spec(), is_hour=True) == "churn was never deployed"


def test_it_is_watched_hourly_where_something_was_logged(
    make_spec: Any, home: Path
) -> None:
    active(home)
    spec = make_spec()
    assert why_not(spec, is_hour=True) == "nothing was logged since the last run"
    ship(home, [line(NOON, 1)])
    assert why_not(spec, is_hour=True) == ""
    assert why_not(spec, is_hour=False) == "no challenger is under test"


def test_it_is_watched_where_a_server_died_with_its_log(
    make_spec: Any, home: Path
) -> None:
    active(home)
    (home / "log" / "churn" / "server").mkdir(parents=True)
    lease = ServerLease(home, "server")
    assert why_not(make_spec(), is_hour=True)
    lease.release()
    assert why_not(make_spec(), is_hour=True) == ""


def test_a_challenger_is_watched_every_quarter(make_spec: Any, home: Path) -> None:
    active(home, count=2)
    assert why_not(make_spec(), is_hour=False) == ""


def test_the_schedule_skips_with_the_reason(make_spec: Any, home: Path) -> None:
    schedule = schedules_of(make_spec())["churn_monitor_schedule"]
    assert schedule.default_status == dg.DefaultScheduleStatus.RUNNING
    minutes = [int(m) for m in str(schedule.cron_schedule).split()[0].split(",")]
    assert [m - minutes[0] for m in minutes] == [0, 15, 30, 45]
    due = dt.datetime(2026, 11, 23, 12, minutes[0], tzinfo=dt.UTC)
    context = dg.build_schedule_context(scheduled_execution_time=due)
    skipped = schedule(context)
    assert isinstance(skipped, dg.SkipReason)
    active(home)
    ship(home, [line(NOON, 1)])
    assert isinstance(schedule(context), dg.RunRequest)
