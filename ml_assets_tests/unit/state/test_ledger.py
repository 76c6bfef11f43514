"""The ledger notices what was edited, removed or added, and says which entry it is."""

import hashlib
import json
import multiprocessing
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import text

from ml_assets.records.ledger_entry import START, Entry, canonical
from ml_assets.state.engine import writing
from ml_assets.state.ledger import Ledger, append
from ml_assets_tests.kits.ledger_rows import Row, edit, rewrite


def add(version: str, kind: Any = "deployment", **given: Any) -> Entry:
    options: dict[str, Any] = {"who": "ana", "why": "it passed", "evidence": {}}
    return Ledger().append("churn", kind, version, None, **(options | given))


@pytest.fixture
def entries() -> list[Entry]:
    """Five entries, v1 to v5."""
    return [add(f"v{n}", evidence={"accuracy": 0.8 + n / 100}) for n in range(1, 6)]


def messages() -> list[str]:
    return [problem.message for problem in Ledger().verify("churn")]


def test_entries_are_numbered_and_chained(entries: list[Entry]) -> None:
    assert Ledger().entries("churn") == entries
    assert [entry.seq for entry in entries] == [1, 2, 3, 4, 5]
    assert entries[0].previous == START
    assert [e.previous for e in entries[1:]] == [e.hash for e in entries[:-1]]
    assert Ledger().last("churn") == entries[-1]
    assert messages() == []


def test_an_exported_line_bears_the_hash_of_the_json_without_it(
    entries: list[Entry],
) -> None:
    lines = [*Ledger().export("churn")]
    assert len(lines) == 5
    body = json.loads(lines[2])
    assert body.pop("hash") == hashlib.sha256(canonical(body)).hexdigest()


def test_an_unknown_model_has_an_empty_sound_ledger() -> None:
    assert Ledger().entries("churn") == []
    assert Ledger().last("churn") is None
    assert Ledger().verify("churn") == []
    assert Ledger().models() == []


def test_an_entry_with_a_known_key_is_returned_and_not_repeated() -> None:
    first = add("v1", key="deployment:v1")
    assert add("v1", key="deployment:v1", why="again") == first
    assert Ledger().find("churn", "deployment:v1") == first
    assert Ledger().find("churn", "deployment:v2") is None
    assert Ledger().entries("churn") == [first]


def test_evidence_is_kept_as_json_has_it() -> None:
    given = {"nan": float("nan"), "pair": (1, 2.5), "big": 1e300, "name": "é"}
    made = add("v1", evidence=given)
    (entry,) = Ledger().entries("churn")
    assert entry == made
    assert entry.evidence == {"nan": None, "pair": [1, 2.5], "big": 1e300, "name": "é"}
    assert messages() == []


def test_entries_of_a_kind_and_after_a_number_are_read_alone(
    entries: list[Entry],
) -> None:
    refused = add("v6", "refusal")
    assert Ledger().entries("churn", after=4) == [entries[4], refused]
    assert Ledger().entries("churn", kinds=["refusal"]) == [refused]
    assert Ledger().entries("other") == []


def without(*numbers: int) -> Callable[[list[Row]], list[Row]]:
    return lambda rows: [row for row in rows if row["seq"] not in numbers]


def with_row(at: int, **fields: Any) -> Callable[[list[Row]], list[Row]]:
    def change(rows: list[Row]) -> list[Row]:
        rows[at] = {**rows[at], **fields}
        return rows

    return change


def paid(rows: list[Row]) -> list[Row]:
    rows[2]["line"] = rows[2]["line"].replace("passed", "paid")
    return rows


def paid_with_hash(rows: list[Row], at: int = 2) -> list[Row]:
    rows[at] = edit(rows[at], why="it paid")
    return rows


def swapped(rows: list[Row]) -> list[Row]:
    rows[1]["seq"], rows[2]["seq"] = 3, 2
    return rows


def added(rows: list[Row]) -> list[Row]:
    return [*rows, edit({**rows[4], "seq": 6}, seq=6, previous=rows[4]["hash"])]


TAMPERED = {
    "edited": (paid, ["entry 3 (deployment of v3) was edited"]),
    "edited with its hash": (
        paid_with_hash,
        ["the chain is broken before entry 4: it follows another entry"],
    ),
    "last edited with its hash": (
        lambda rows: paid_with_hash(rows, 4),
        ["entry 5 is not the one that was written"],
    ),
    "removed": (without(3), ["entry 3 is missing"]),
    "first two removed": (without(1, 2), ["entries 1 to 2 are missing"]),
    "end removed": (without(4, 5), ["entries after 3 are missing: there were 5"]),
    "everything removed": (
        without(1, 2, 3, 4, 5),
        ["entries after 0 are missing: there were 5"],
    ),
    "added": (added, ["entries after 5 were added by something else"]),
    "not JSON": (with_row(2, line="{"), ["entry 3 is not readable"]),
    "another kind in its column": (
        with_row(2, kind="hold"),
        ["entry 3 (deployment of v3) was edited"],
    ),
    "another version in its column": (
        with_row(2, version="v9"),
        ["entry 3 (deployment of v3) was edited"],
    ),
    "another key in its column": (
        with_row(2, key="k"),
        ["entry 3 (deployment of v3) was edited"],
    ),
    "two swapped": (
        swapped,
        [
            "entry 2 is missing",
            "entry 3 (deployment of v3) was edited",
            "entry 2 stands where entry 4 should",
            "entry 2 (deployment of v2) was edited",
            "entry 3 is missing",
        ],
    ),
}


@pytest.mark.parametrize("change, expected", TAMPERED.values(), ids=TAMPERED)
@pytest.mark.usefixtures("entries")
def test_what_was_tampered_with_is_named(change: Any, expected: list[str]) -> None:
    rewrite(change)
    assert messages() == expected


@pytest.mark.usefixtures("entries")
def test_a_head_that_is_gone_is_named() -> None:
    with writing("churn") as connection:
        connection.execute(text("DELETE FROM ledger_heads"))
    assert messages() == ["it has no head"]


def test_a_transaction_that_fails_leaves_no_entry_and_no_gap(
    entries: list[Entry],
) -> None:
    with pytest.raises(RuntimeError), writing("churn") as connection:
        append(connection, "churn", "hold", "v5", None, "ana", "it leaks", {})
        raise RuntimeError
    assert Ledger().entries("churn") == entries
    assert add("v6").seq == 6
    assert messages() == []


def _append(worker: int) -> None:
    for number in range(20):
        add(f"v{worker}.{number}")


@pytest.mark.usefixtures("database")
def test_four_processes_write_one_chain() -> None:
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_append, args=(number,)) for number in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [entry.seq for entry in Ledger().entries("churn")] == list(range(1, 81))
    assert messages() == []


def test_a_hold_lasts_until_it_is_lifted() -> None:
    add("v1", "hold")
    reason = add("v2", "hold", why="it leaks")
    add("v1", "release_hold")
    assert Ledger().held("churn") == {"v2": reason}


@pytest.mark.parametrize(
    "fields",
    [
        {"kind": "quarantine"},
        {"kind": "quarantine", "until": "2027-01-01"},
        {"kind": "hold", "until": "2027-01-01"},
    ],
    ids=["a kind", "a kind and a field", "a field"],
)
@pytest.mark.usefixtures("entries")
def test_what_a_later_release_wrote_is_kept_and_stops_its_version(
    fields: dict[str, Any],
) -> None:
    def newer(rows: list[Row]) -> list[Row]:
        return [*rows[:4], {**edit(rows[4], **fields), "kind": fields["kind"]}]

    rewrite(newer)
    with writing("churn") as connection:
        changed = "UPDATE ledger_heads SET hash = (SELECT hash FROM ledger WHERE seq=5)"
        connection.execute(text(changed))
    assert messages() == []
    assert [*Ledger().held("churn")] == ["v5"]
    assert add("v6").seq == 6
    assert messages() == []
    exported = json.loads([*Ledger().export("churn")][4])
    assert exported.items() >= fields.items()
    add("v5", kind="release_hold")
    assert Ledger().held("churn") == {}


def _append_for_ever(ready: Any) -> None:
    number = 0
    while True:
        number += 1
        add(f"v{number}")
        ready.set()


@pytest.mark.usefixtures("database")
def test_it_is_sound_whenever_one_reads_while_others_append() -> None:
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    writer = context.Process(target=_append_for_ever, args=(ready,), daemon=True)
    writer.start()
    try:
        assert ready.wait(60)
        seen = set()
        while len(seen) < 50:
            assert messages() == []
            seen.add(len(Ledger().entries("churn")))
            assert writer.is_alive()
    finally:
        writer.kill()
        writer.join()
    assert messages() == []
