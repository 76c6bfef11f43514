"""Ledgers that the exporter follows: what it reads, and what it notices, and when."""

import threading
from typing import Any

import pytest
from sqlalchemy import event, text

from ml_assets.observability.exporter.ledger_tails import LedgerTails
from ml_assets.observability.exporter.ledgers import LedgerMetrics
from ml_assets.observability.exporter.metric_families import FoldedSeries
from ml_assets.state.engine import reading, writing
from ml_assets.state.ledger import Ledger
from ml_assets_tests.kits.ledger_rows import edit, make_anew, rewrite

pytestmark = pytest.mark.usefixtures("database")

RUNNING = threading.Event()


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def tails(clock: Clock) -> LedgerTails:
    return LedgerTails(600.0, clock)


def add(version: str, kind: Any = "deployment", model: str = "churn") -> None:
    Ledger().append(model, kind, version, None, "ana", "passed", {})


def read(tails: LedgerTails) -> list[tuple[str, str]]:
    """Model and version of each entry that is new."""
    found = [*tails.poll(RUNNING)]
    return [(model, entry.version) for model, new in found for entry in new]


def test_each_entry_is_read_once(tails: LedgerTails) -> None:
    add("v1")
    add("v2")
    add("w1", model="fraud")
    assert sorted(read(tails)) == [("churn", "v1"), ("churn", "v2"), ("fraud", "w1")]
    assert read(tails) == []
    add("v3")
    assert read(tails) == [("churn", "v3")]
    assert tails.tails["churn"].entries == 3 and tails.tails["churn"].is_intact


def test_of_what_has_not_changed_only_the_heads_are_read(tails: LedgerTails) -> None:
    for number in range(20):
        add("v1", model=f"model-{number}")
    read(tails)
    with reading() as connection:
        engine, statements = connection.engine, list[str]()

    def listen(*given: Any) -> None:
        statements.append(str(given[2]))

    event.listen(engine, "before_cursor_execute", listen)
    try:
        assert read(tails) == []
    finally:
        event.remove(engine, "before_cursor_execute", listen)
    assert len([one for one in statements if "FROM ledger" in one]) == 1


def test_a_ledger_is_verified_as_a_whole_within_the_interval(
    tails: LedgerTails, clock: Clock
) -> None:
    for version in ("v1", "v2", "v3"):
        add(version)
    read(tails)
    # The head does not show it.
    rewrite(lambda found: [edit(found[0], who="eve"), *found[1:]])
    read(tails)
    assert tails.tails["churn"].is_intact
    clock.now += 600
    read(tails)
    assert not tails.tails["churn"].is_intact
    assert tails.tails["churn"].verified_at == clock.now


def test_the_moments_of_verification_are_spread_out(
    tails: LedgerTails, clock: Clock
) -> None:
    for number in range(10):
        add("v1", model=f"model-{number}")
    read(tails)
    due = {tail.due_at for tail in tails.tails.values()}
    assert len(due) > 5 and max(due) <= clock.now + 600


def test_a_new_entry_that_does_not_follow_is_noticed_at_once(
    tails: LedgerTails,
) -> None:
    add("v1")
    read(tails)
    add("v2")
    rewrite(lambda found: [found[0], edit(found[1], previous="0" * 64)])
    read(tails)
    assert not tails.tails["churn"].is_intact


@pytest.mark.parametrize("how", ["made anew", "cut", "removed"])
def test_what_was_read_and_is_another_now_is_noticed(
    tails: LedgerTails, clock: Clock, how: str
) -> None:
    add("v1")
    add("v2")
    read(tails)
    if how == "made anew":
        rewrite(lambda found: make_anew([edit(found[0], who="eve"), found[1]]))
        add("v3")
    elif how == "cut":
        rewrite(lambda found: make_anew(found[:1]))
    else:
        with writing("churn") as connection:
            connection.execute(text("DELETE FROM ledger"))
            connection.execute(text("DELETE FROM ledger_heads"))
    assert Ledger().verify("churn") == []
    assert read(tails) == ([("churn", "v3")] if how == "made anew" else [])
    assert not tails.tails["churn"].is_intact
    # It stays so: what was there is not there any more.
    clock.now += 700
    read(tails)
    assert not tails.tails["churn"].is_intact


def test_an_entry_of_a_later_release_is_counted_and_holds_its_version() -> None:
    add("v1")
    add("v1", "quarantine")
    metrics = LedgerMetrics(FoldedSeries())
    found = {
        (sample.name, sample.labels.get("model")): sample.value
        for family in metrics.metrics(["churn"], RUNNING)
        for sample in family.samples
    }
    assert found["ml_assets_ledger_entries", "churn"] == 2
    assert found["ml_assets_versions_on_hold", "churn"] == 1
    assert found["ml_assets_ledger_intact", "churn"] == 1


def test_it_ends_when_it_is_asked_to(tails: LedgerTails) -> None:
    add("v1")
    stopping = threading.Event()
    stopping.set()
    assert [*tails.poll(stopping)] == []
