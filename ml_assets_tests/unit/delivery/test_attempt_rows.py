"""Attempts as rows, on each database: their numbers, their failures and their ends."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from ml_assets.delivery.attempts import Attempt, Attempts, StaleError
from ml_assets.delivery.releases import Release, Releases
from ml_assets.spec.reserved import RELEASE
from ml_assets.state import ledger
from ml_assets.state.ledger import Ledger

pytestmark = pytest.mark.usefixtures("database")


def attempt(number: int, environment: str = "staging") -> Attempt:
    return Attempt(
        number=number,
        environment=environment,
        purpose="release",
        key=f"{environment}:{number}",
        digest="sha256:1",
        name="main",
        commit="c",
        images={},
        wanted={"server": "new"},
        before={"server": "old"},
        who="ann",
        why="asked for",
        run_id=None,
        began_at="2026-11-23T02:00:00+00:00",
    )


def test_of_many_who_begin_at_once_one_does() -> None:
    store = Attempts("staging")
    store.create(attempt(1))

    def begin(_: int) -> bool:
        try:
            store.create(attempt(2))
        except StaleError:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(begin, range(4))) == 1
    assert store.newest() == attempt(2)
    assert Attempts("production").newest() is None


def test_an_attempt_is_unfinished_until_its_entry_is_there() -> None:
    store, first = Attempts("staging"), attempt(1)
    assert store.unfinished() is None
    store.create(first)
    assert store.unfinished() == first and store.failure(first) is None
    store.note_failure(first, {"why": "smoke", "checks": []})
    assert store.failure(first) == {"why": "smoke", "checks": []}
    entry = store.end(first, "release_failure", "smoke", {"returned": True})
    assert store.unfinished() is None
    assert Ledger().entries(RELEASE) == [entry] and entry.key == first.key
    # Who repeats it, because the reply was lost, changes nothing.
    assert store.end(first, "release_failure", "smoke", {"returned": True}) == entry


def test_what_was_overtaken_ends_nothing() -> None:
    store = Attempts("staging")
    store.create(attempt(1))
    store.create(attempt(2))
    with pytest.raises(StaleError, match="attempt 1 on staging was overtaken by"):
        store.note_failure(attempt(1), {})
    with pytest.raises(StaleError, match="overtaken by attempt 2"):
        store.end(attempt(1), "release_staging", "", {})
    assert Ledger().entries(RELEASE) == []


def test_an_end_whose_entry_cannot_be_written_is_none(monkeypatch: Any) -> None:
    store = Attempts("staging")
    store.create(attempt(1))

    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError

    with monkeypatch.context() as patch:
        patch.setattr(ledger, "append", fail)
        with pytest.raises(RuntimeError):
            store.end(attempt(1), "release_staging", "", {})
    assert store.unfinished() == attempt(1) and Ledger().entries(RELEASE) == []


def test_a_release_stays_as_it_was_seen_first() -> None:
    first = Release(digest="sha256:1", name="main", images={}, commit="c")
    second = Release(digest="sha256:1", name="v1.0.0", images={}, commit="c")
    assert Releases().save(first) == first
    assert Releases().save(second) == first == Releases().get("sha256:1")


def test_tags_are_what_the_last_poll_found() -> None:
    Releases().save_polled({"main": "sha256:1", "v1.0.0": "sha256:1"})
    Releases().save_polled({"main": "sha256:2"})
    assert Releases().polled() == {"main": "sha256:2"}
    Releases().save_polled({})
    assert Releases().polled() == {}
