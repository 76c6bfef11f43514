"""The ledger notices what was edited, removed or torn, and names the entry."""

import errno
import json
import multiprocessing
import os
from pathlib import Path
from typing import Any

import pytest

from ml_assets.core.storage import write_json
from ml_assets.records.ledger_entry import (
    START,
    Entry,
    as_written,
    canonical,
    entry_hash,
)
from ml_assets.state.ledger import Ledger, active_holds


def add(ledger: Ledger, version: str, kind: Any = "deployment", **given: Any) -> Entry:
    options: dict[str, Any] = {"who": "ana", "why": "it passed", "evidence": {}}
    return ledger.append("churn", kind, version, None, **(options | given))


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    """Five entries, v1 to v5."""
    found = Ledger(tmp_path)
    for number in range(1, 6):
        add(found, f"v{number}", evidence={"accuracy": 0.8 + number / 100})
    return found


def rewrite(ledger: Ledger, lines: list[bytes]) -> None:
    ledger.path("churn").write_bytes(b"".join(line + b"\n" for line in lines))


def messages(ledger: Ledger) -> list[str]:
    return [problem.message for problem in ledger.verify("churn")]


def test_entries_are_numbered_and_chained(ledger: Ledger) -> None:
    entries = ledger.entries("churn")
    assert [entry.seq for entry in entries] == [1, 2, 3, 4, 5]
    assert entries[0].previous == START
    assert [e.previous for e in entries[1:]] == [e.hash for e in entries[:-1]]
    assert messages(ledger) == []


def test_a_hash_is_that_of_the_json_without_it(ledger: Ledger) -> None:
    body = json.loads(ledger.path("churn").read_bytes().splitlines()[2])
    assert entry_hash(body) != body["hash"]
    assert body.pop("hash") == entry_hash(body)


def test_an_unknown_model_has_an_empty_sound_ledger(tmp_path: Path) -> None:
    assert Ledger(tmp_path).entries("churn") == []
    assert Ledger(tmp_path).verify("churn") == []


def test_an_entry_with_a_known_key_is_returned_and_not_repeated(
    tmp_path: Path,
) -> None:
    ledger = Ledger(tmp_path)
    first = add(ledger, "v1", key="deployment:v1")
    assert add(ledger, "v1", key="deployment:v1", why="again") == first
    assert ledger.find("churn", "deployment:v1") == first
    assert len(ledger.entries("churn")) == 1


def test_evidence_is_kept_as_json_has_it(tmp_path: Path) -> None:
    given = {"nan": float("nan"), "pair": (1, 2.5), "big": 1e300, "name": "é"}
    add(Ledger(tmp_path), "v1", evidence=given)
    (entry,) = Ledger(tmp_path).entries("churn")
    assert entry.evidence == {"nan": None, "pair": [1, 2.5], "big": 1e300, "name": "é"}
    assert Ledger(tmp_path).verify("churn") == []


def edit_why(lines: list[bytes]) -> list[bytes]:
    return [
        line.replace(b"passed", b"paid") if i == 2 else line
        for i, line in enumerate(lines)
    ]


def edit_and_rehash(lines: list[bytes], at: int = 2) -> list[bytes]:
    body = json.loads(lines[at])
    del body["hash"]
    body["why"] = "it paid"
    made = canonical({**body, "hash": entry_hash(body)})
    return [*lines[:at], made, *lines[at + 1 :]]


TAMPERED = {
    "edited": (edit_why, ["entry 3 (deployment of v3) was edited"]),
    "edited with its hash": (
        edit_and_rehash,
        ["the chain is broken before entry 4: it follows another entry"],
    ),
    "last edited with its hash": (
        lambda lines: edit_and_rehash(lines, 4),
        ["entry 5 is not the one that was written"],
    ),
    "removed": (
        lambda lines: lines[:2] + lines[3:],
        ["entry 3 is missing"],
    ),
    "first two removed": (
        lambda lines: lines[2:],
        ["entries 1 to 2 are missing"],
    ),
    "end removed": (
        lambda lines: lines[:3],
        ["entries after 3 are missing: there were 5"],
    ),
    "everything removed": (
        lambda lines: [],
        ["entries after 0 are missing: there were 5"],
    ),
    "not JSON": (
        lambda lines: [*lines[:2], b"{", *lines[3:]],
        ["entry 3 is not readable"],
    ),
    "two swapped": (
        lambda lines: [lines[0], lines[2], lines[1], *lines[3:]],
        [
            "entry 2 is missing",
            "entry 2 stands where entry 4 should",
            "entry 3 is missing",
        ],
    ),
}


@pytest.mark.parametrize("change, expected", TAMPERED.values(), ids=TAMPERED)
def test_what_was_tampered_with_is_named(
    ledger: Ledger, change: Any, expected: list[str]
) -> None:
    rewrite(ledger, change(ledger.path("churn").read_bytes().splitlines()))
    assert messages(ledger) == expected


def test_a_torn_last_line_is_reported_and_cut_by_the_next_entry(ledger: Ledger) -> None:
    with ledger.path("churn").open("ab") as stream:
        stream.write(b'{"seq":6,"time":"2026')
    assert messages(ledger) == ["the last line is torn; it is no entry"]
    assert len(ledger.entries("churn")) == 5
    assert add(ledger, "v6").seq == 6
    assert messages(ledger) == []


def _append(root: Path, worker: int) -> None:
    for number in range(20):
        add(Ledger(root), f"v{worker}.{number}")


def test_four_processes_write_one_chain(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    workers = [
        context.Process(target=_append, args=(tmp_path, number)) for number in range(4)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    entries = Ledger(tmp_path).entries("churn")
    assert [entry.seq for entry in entries] == list(range(1, 81))
    assert Ledger(tmp_path).verify("churn") == []


def test_a_hold_lasts_until_it_is_released(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    add(ledger, "v1", "hold")
    reason = add(ledger, "v2", "hold", why="it leaks")
    add(ledger, "v1", "release_hold")
    assert active_holds(ledger.entries("churn")) == {"v2": reason}


def rewritten(entry: Entry, **fields: Any) -> bytes:
    """The line of an entry as a later release would write it."""
    body = {**as_written(entry), **fields}
    del body["hash"]
    return canonical({**body, "hash": entry_hash(body)})


@pytest.mark.parametrize(
    "fields",
    [
        {"kind": "quarantine"},
        {"kind": "quarantine", "until": "2027-01-01"},
        {"kind": "hold", "until": "2027-01-01"},
    ],
    ids=["a kind", "a kind and a field", "a field"],
)
def test_what_a_later_release_wrote_is_kept_and_stops_its_version(
    ledger: Ledger, fields: dict[str, Any]
) -> None:
    lines = ledger.path("churn").read_bytes().splitlines()[:4]
    fifth = ledger.entries("churn")[4]
    rewrite(ledger, [*lines, rewritten(fifth, **fields)])
    head = json.loads(rewritten(fifth, **fields))["hash"]
    write_json(ledger.path("churn").with_suffix(".head.json"), {"seq": 5, "hash": head})
    assert messages(ledger) == []
    assert list(active_holds(ledger.entries("churn"))) == ["v5"]
    assert add(ledger, "v6").seq == 6
    assert messages(ledger) == []
    add(ledger, "v5", kind="release_hold")
    assert active_holds(ledger.entries("churn")) == {}


def test_a_line_that_cannot_be_read_keeps_its_number(ledger: Ledger) -> None:
    lines = ledger.path("churn").read_bytes().splitlines()
    rewrite(ledger, [*lines, b"{}"])
    assert add(ledger, "v6").seq == 7
    assert messages(ledger) == ["entry 6 is not readable"]


def append_for_ever(root: Path, ready: Any) -> None:
    ledger = Ledger(root)
    number = 0
    while True:
        number += 1
        add(ledger, f"v{number}")
        ready.set()


def test_it_is_sound_whenever_one_looks_while_others_append(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    writer = context.Process(
        target=append_for_ever, args=(tmp_path, ready), daemon=True
    )
    writer.start()
    try:
        assert ready.wait(60)
        seen = set()
        while len(seen) < 100:
            assert Ledger(tmp_path).verify("churn") == []
            seen.add(len(Ledger(tmp_path).entries("churn")))
            assert writer.is_alive()
    finally:
        writer.kill()
        writer.join()


@pytest.mark.parametrize("key", ["deployment:v6", None])
def test_an_entry_whose_flush_failed_is_written_anew_and_not_found(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, key: str | None
) -> None:
    """The kernel shows what it could not write until it needs the room."""
    before = ledger.path("churn").read_bytes()

    def fail(_: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr("ml_assets.state.ledger.os.fsync", fail)
        with pytest.raises(OSError, match="Input/output error"):
            add(ledger, "v6", key=key)
    assert ledger.path("churn").read_bytes() == before

    again = add(ledger, "v6", key=key)

    assert again.seq == 6 and ledger.entries("churn")[-1] == again
    assert messages(ledger) == []
