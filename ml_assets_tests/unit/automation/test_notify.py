"""The sensor: what it sends, in which order, how often, and what a failure does."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import msgspec
import pytest
from sqlalchemy import Engine, event

from ml_assets.automation import notify as automation_notify
from ml_assets.automation.notify import Progress
from ml_assets.observability.notifications.notifier import read_counts
from ml_assets.state.ledger import Ledger
from ml_assets.state.versions import Versions
from ml_assets_tests.conftest import definitions_of
from ml_assets_tests.kits.cli import record
from ml_assets_tests.kits.slack import SECRET, SlackDouble, closed_port, slack_double

Tick = Callable[[], Any]


@dg.op
def broken() -> None:
    raise ValueError("row 7 holds jane@example.com")


@dg.job
def nightly() -> None:
    broken()


@pytest.fixture
def double(monkeypatch: pytest.MonkeyPatch) -> Iterator[SlackDouble]:
    with slack_double() as running:
        monkeypatch.setenv("SLACK_WEBHOOK", running.url)
        yield running


class Ticks:
    """Ticks of the sensor, one after the other, with its cursor."""

    def __init__(self, instance: dg.DagsterInstance, spec: Any) -> None:
        self.instance = instance
        self.definitions = dg.Definitions.merge(
            definitions_of(spec), automation_notify.build()
        )
        self.cursor: str | None = None

    def __call__(self) -> str:
        """Evaluate once; returns the reason that the UI shows."""
        context = dg.build_sensor_context(
            instance=self.instance, cursor=self.cursor, definitions=self.definitions
        )
        sensor = self.definitions.resolve_sensor_def("notifications")
        result = sensor.evaluate_tick(context)
        assert not result.run_requests
        self.cursor = result.cursor
        return str(result.skip_message)

    def now(self) -> None:
        """Let the wait after a failure be over."""
        progress = msgspec.json.decode(self.cursor or "", type=Progress)
        self.cursor = msgspec.json.encode(
            msgspec.structs.replace(progress, wait_until=0.0)
        ).decode()


@pytest.fixture
def ticks(instance: dg.DagsterInstance, make_spec: Any, double: SlackDouble) -> Ticks:
    found = Ticks(instance, make_spec())
    assert found() == "it begins with what happens from now on"
    return found


def fail(instance: dg.DagsterInstance, **tags: str) -> str:
    """A run that fails."""
    result = nightly.execute_in_process(
        instance=instance, raise_on_error=False, tags=tags
    )
    return result.run_id


def report(instance: dg.DagsterInstance, stage: str, **metadata: Any) -> None:
    event = dg.AssetMaterialization(dg.AssetKey(["churn", stage]), metadata=metadata)
    instance.report_runless_asset_event(event)


def decide(home: Path, kind: Any, who: str = "ann", **given: Any) -> None:
    Ledger().append(
        "churn", kind, "20261101T020000Z", 3, who=who, why="it was better", evidence={}
    )


def test_a_failed_run_is_notified_without_its_error(
    ticks: Ticks, instance: dg.DagsterInstance, double: SlackDouble, monkeypatch: Any
) -> None:
    monkeypatch.setenv("ML_ASSETS_UI_URL", "https://dagster.example.com")
    run_id = fail(instance)
    assert ticks() == "1 sent"
    (text,) = double.texts
    assert text.startswith(":x: *nightly failed*") and "in broken" in text
    assert f"<https://dagster.example.com/runs/{run_id}|run {run_id[:8]}>" in text
    assert "jane" not in text
    assert ticks() == "nothing new"
    assert len(double.received) == 1


def test_a_run_that_is_tried_again_by_itself_is_not_notified(
    ticks: Ticks, instance: dg.DagsterInstance, double: SlackDouble
) -> None:
    fail(instance, **{"dagster/will_retry": "true"})
    assert ticks() == "nothing new"


@pytest.mark.parametrize(
    "passed, verdict", [(True, "passed its gate"), (False, "did not pass its gate")]
)
def test_the_verdict_of_the_gate_is_notified_with_its_reason(
    ticks: Ticks,
    instance: dg.DagsterInstance,
    double: SlackDouble,
    home: Path,
    passed: bool,
    verdict: str,
) -> None:
    gate = {"passed": passed, "reason": "accuracy 0.79 is not above 0.8"}
    Versions().save(record("churn", "v1"))
    Versions().save_evaluation("churn", "v1", {"gate": gate})
    report(instance, "evaluation", version="v1")
    report(instance, "evaluation", note="by hand")
    assert ticks() == "1 sent"
    assert f":bar_chart: *churn v1 {verdict}*" in double.texts[0]
    assert "accuracy 0.79 is not above 0.8" in double.texts[0]


def test_drift_is_notified_and_its_absence_is_not(
    ticks: Ticks, instance: dg.DagsterInstance, double: SlackDouble
) -> None:
    report(instance, "drift", drifted=False, report_id="a", finding="no column")
    report(instance, "drift", drifted=True, report_id="b", finding="age: PSI 0.4")
    assert ticks() == "1 sent"
    assert "*churn drifts*" in double.texts[0] and "age: PSI 0.4" in double.texts[0]


@pytest.mark.parametrize(
    "kind, title",
    [
        ("deployment", ":rocket: *churn was deployed*"),
        ("experiment", ":rocket: *churn has an experiment*"),
        ("promotion", ":rocket: *churn was promoted*"),
        ("rollback", ":leftwards_arrow_with_hook: *churn was rolled back*"),
        ("refusal", ":no_entry: *churn was not deployed*"),
    ],
)
def test_ledger_entries_are_notified(
    ticks: Ticks, double: SlackDouble, home: Path, kind: str, title: str
) -> None:
    decide(home, kind)
    assert ticks() == "1 sent"
    assert double.texts[0].startswith(title)
    assert "version 20261101T020000Z, plan 3: it was better" in double.texts[0]


@pytest.mark.parametrize(
    "kind, title",
    [
        ("release_staging", ":package: *release v1.2.0 (12ab) runs in staging*"),
        ("release_production", ":package: *release v1.2.0 (12ab) runs in production*"),
        ("release_failure", ":package: *release v1.2.0 (12ab) failed in staging*"),
        ("approval", ":package: *release v1.2.0 (12ab) was approved for production*"),
        ("refusal", ":package: *release v1.2.0 (12ab) was refused for staging*"),
        ("rollback", ":package: *release v1.2.0 (12ab) runs in production again*"),
    ],
)
def test_outcomes_of_a_release_are_notified(
    ticks: Ticks, double: SlackDouble, home: Path, kind: Any, title: str
) -> None:
    evidence = {"name": "v1.2.0", "environment": "staging"}
    Ledger().append("release", kind, "sha256:12ab", None, "ann", "tested", evidence)
    assert ticks() == "1 sent"
    assert double.texts[0].startswith(title) and "tested" in double.texts[0]


def test_a_hold_is_not_notified(ticks: Ticks, double: SlackDouble, home: Path) -> None:
    decide(home, "hold")
    assert ticks() == "nothing new"


def test_a_tick_asks_no_more_where_there_are_more_ledgers(
    ticks: Ticks, double: SlackDouble, home: Path
) -> None:
    decide(home, "hold")
    ticks()
    few = statements(ticks)
    for number in range(30):
        Ledger().append(f"m{number}", "hold", "v", None, "ann", "so", {})
    assert statements(ticks) > few
    assert statements(ticks) == few


def statements(ticks: Ticks) -> int:
    """How many statements one tick sends to databases."""
    sent: list[str] = []

    def count(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        sent.append(statement)

    event.listen(Engine, "before_cursor_execute", count)
    try:
        ticks()
    finally:
        event.remove(Engine, "before_cursor_execute", count)
    return len(sent)


def test_the_run_that_a_ledger_entry_names_is_linked(
    ticks: Ticks, double: SlackDouble, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ML_ASSETS_UI_URL", "https://d")
    run_id = "7b8ad2a4-6a1c-4c0e-9d5c-0a3f6f7c8d9e"
    decide(home, "deployment", who=f"sensor churn_gate, run {run_id}")
    ticks()
    assert f"<https://d/runs/{run_id}|run 7b8ad2a4>" in double.texts[0]


def test_what_happened_before_is_not_sent(
    instance: dg.DagsterInstance, make_spec: Any, double: SlackDouble, home: Path
) -> None:
    decide(home, "deployment")
    fail(instance)
    ticks = Ticks(instance, make_spec())
    ticks()
    decide(home, "rollback")
    assert ticks() == "1 sent"
    assert "rolled back" in double.texts[0]


def test_without_a_webhook_nothing_is_sent(
    instance: dg.DagsterInstance, make_spec: Any, home: Path
) -> None:
    ticks = Ticks(instance, make_spec())
    fail(instance)
    assert ticks() == "SLACK_WEBHOOK is not set: nothing is sent"


def test_what_is_missed_while_it_is_off_is_not_sent_later(
    ticks: Ticks, double: SlackDouble, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SLACK_WEBHOOK")
    ticks()
    decide(home, "deployment")
    monkeypatch.setenv("SLACK_WEBHOOK", double.url)
    assert ticks() == "it begins with what happens from now on"
    assert ticks() == "nothing new"


def test_what_is_older_than_a_day_is_not_sent(
    ticks: Ticks, double: SlackDouble, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decide(home, "deployment")
    tomorrow = time.time() + 90_000
    monkeypatch.setattr(automation_notify.time, "time", lambda: tomorrow)
    assert ticks() == "nothing new"


def test_events_are_sent_in_their_order_and_ten_a_tick(
    ticks: Ticks, double: SlackDouble, home: Path, instance: dg.DagsterInstance
) -> None:
    for number in range(12):
        report(instance, "drift", drifted=True, report_id=number, finding=f"n{number}.")
    assert [ticks(), ticks(), ticks()] == ["10 sent", "2 sent", "nothing new"]
    found = [text.splitlines()[1] for text in double.texts]
    assert found == [f"n{number}." for number in range(12)]


def test_an_attempt_that_failed_is_made_again_later_and_later(
    ticks: Ticks, double: SlackDouble, home: Path
) -> None:
    double.answer = 500
    decide(home, "deployment")
    waits = []
    for _ in range(3):
        assert ticks() == (
            "nothing new; one failed: Slack answered 500; it is tried again"
        )
        progress = msgspec.json.decode(ticks.cursor or "", type=Progress)
        waits.append(round((progress.wait_until - time.time()) / 15))
        assert ticks().startswith("Slack is tried again in ")
        ticks.now()
    assert waits == [1, 2, 4] and len(double.received) == 3
    double.answer = 200
    assert ticks() == "1 sent"
    assert ticks() == "nothing new"
    assert len(double.shown) == 1
    assert read_counts() == {"deployment": {"undelivered": 3, "delivered": 1}}


def test_slack_sets_when_it_is_tried_again(
    ticks: Ticks, double: SlackDouble, home: Path
) -> None:
    double.answer, double.retry_after = 429, "120"
    decide(home, "deployment")
    ticks()
    assert ticks() in [f"Slack is tried again in {n} s" for n in (119, 120)]


def test_one_silence_ends_a_tick_and_loses_one_message(
    ticks: Ticks, double: SlackDouble, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "ml_assets.observability.notifications.slack.TIMEOUT_SECONDS", 0.2
    )
    double.answer = "cut"
    decide(home, "deployment")
    decide(home, "rollback")
    assert ticks().endswith("it may have arrived, so it is not sent again")
    assert len(double.received) == 1
    double.answer = 200
    ticks.now()
    assert ticks() == "1 sent"
    assert len(double.received) == 2 and "rolled back" in double.texts[0]


def test_nobody_listening_raises_nothing_and_shows_no_address(
    ticks: Ticks, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = f"http://127.0.0.1:{closed_port()}/services/{SECRET}"
    monkeypatch.setenv("SLACK_WEBHOOK", address)
    decide(home, "deployment")
    reason = ticks()
    assert "no connection: ConnectionRefusedError" in reason
    shown = [path.read_bytes() for path in home.rglob("*") if path.is_file()]
    assert SECRET not in reason and SECRET not in str(ticks.cursor)
    assert not any(SECRET.encode() in text for text in shown)
