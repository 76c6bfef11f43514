"""What was decided on a model, by whom and on what evidence: one file that only grows.

``ledger/<model>.jsonl`` holds an entry a line. Each carries the hash of the one before,
so that an entry that was edited, removed or put in between is noticed by `verify`, and
``ledger/<model>.head.json`` says how far the file must reach at least.

The hash of an entry is the SHA-256 of its JSON without ``hash``: keys sorted, no
blanks, UTF-8, as `canonical` writes it.
"""

import datetime as dt
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec

from ml_assets.storage import locked, read_json, write_json

Kind = Literal[
    "deployment",
    "promotion",
    "rollback",
    "refusal",
    "hold",
    "release_hold",
    "approval",
    "experiment",
]

START = "0" * 64


class Entry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One decision.

    Attributes
    ----------
    seq : int
        Number of the entry, from 1.
    time : str
        When, in UTC, ISO 8601.
    generation : int or None
        The plan that came of it; None where none did.
    key : str or None
        What makes it unique: an entry with the same key is not made again.
    previous : str
        Hash of the entry before; 64 zeros for the first.
    """

    seq: int
    time: str
    kind: Kind
    model: str
    version: str
    generation: int | None
    who: str
    why: str
    evidence: dict[str, Any]
    key: str | None
    previous: str
    hash: str


class Problem(NamedTuple):
    """Something that is wrong, and the number of the entry that it is about, if one."""

    seq: int | None
    message: str


class Ledger:
    """The ledgers under the storage directory `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, model: str) -> Path:
        """File of one model."""
        return self.root / "ledger" / f"{model}.jsonl"

    def append(
        self,
        model: str,
        kind: Kind,
        version: str,
        generation: int | None,
        who: str,
        why: str,
        evidence: Mapping[str, Any],
        key: str | None = None,
    ) -> Entry:
        """Add an entry and return it; the one with the same `key`, if there is one."""
        with locked(self.path(model).with_suffix(".lock")):
            self._cut_torn_tail(model)
            entries = self.entries(model)
            known = _with_key(entries, key)
            if known is not None:
                return known
            last = entries[-1] if entries else None
            body = {
                "seq": last.seq + 1 if last else 1,
                "time": dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds"),
                "kind": kind,
                "model": model,
                "version": version,
                "generation": generation,
                "who": who,
                "why": why,
                # As JSON has it: NaN is null, a tuple is a list.
                "evidence": json.loads(msgspec.json.encode(dict(evidence))),
                "key": key,
                "previous": last.hash if last else START,
            }
            entry = msgspec.convert({**body, "hash": entry_hash(body)}, Entry)
            self._write(entry)
        return entry

    def entries(self, model: str) -> list[Entry]:
        """Every entry that can be read, oldest first; `verify` tells of the others."""
        found = (_parse(line) for line in _whole_lines(self._data(model)))
        return [entry for entry in found if entry is not None]

    def find(self, model: str, key: str) -> Entry | None:
        """The entry with this key."""
        return _with_key(self.entries(model), key)

    def verify(self, model: str) -> list[Problem]:
        """What is wrong with the ledger of `model`; empty where nothing is."""
        data = self._data(model)
        problems: list[Problem] = []
        number, before = 0, START
        for line in _whole_lines(data):
            entry = _parse(line)
            if entry is None:
                number += 1
                problems.append(Problem(number, f"entry {number} is not readable"))
                before = ""
                continue
            problems += _of_entry(entry, number + 1, before)
            number, before = entry.seq, entry.hash
        if data and not data.endswith(b"\n"):
            problems.append(Problem(None, "the last line is torn; it is no entry"))
        return problems + self._of_head(model, number)

    def _of_head(self, model: str, last: int) -> list[Problem]:
        """The chain cannot tell that its end is gone, or was made anew."""
        head = read_json(self._head_path(model))
        if head is None:
            return []
        if head["seq"] > last:
            text = f"entries after {last} are missing: there were {head['seq']}"
            return [Problem(last + 1, text)]
        hashes = {entry.seq: entry.hash for entry in self.entries(model)}
        if hashes.get(head["seq"], head["hash"]) != head["hash"]:
            text = f"entry {head['seq']} is not the one that was written"
            return [Problem(head["seq"], text)]
        return []

    def _data(self, model: str) -> bytes:
        try:
            return self.path(model).read_bytes()
        except FileNotFoundError:
            return b""

    def _head_path(self, model: str) -> Path:
        return self.path(model).with_suffix(".head.json")

    def _write(self, entry: Entry) -> None:
        line = canonical(msgspec.to_builtins(entry)) + b"\n"
        with self.path(entry.model).open("ab") as stream:
            stream.write(line)
            stream.flush()
            os.fsync(stream.fileno())
        head = {"seq": entry.seq, "hash": entry.hash}
        write_json(self._head_path(entry.model), head)

    def _cut_torn_tail(self, model: str) -> None:
        """Remove the beginning of an entry whose writer died."""
        data = self._data(model)
        whole = data.rfind(b"\n") + 1
        if whole < len(data):
            os.truncate(self.path(model), whole)


def canonical(value: Mapping[str, Any]) -> bytes:
    """The JSON that is hashed and written.

    Examples
    --------
    >>> canonical({"b": 1, "a": None})
    b'{"a":null,"b":1}'
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode()


def entry_hash(body: Mapping[str, Any]) -> str:
    """SHA-256 of an entry without its hash."""
    return hashlib.sha256(canonical(body)).hexdigest()


def held(entries: list[Entry]) -> dict[str, Entry]:
    """Versions on hold, and the entry that put each there."""
    found: dict[str, Entry] = {}
    for entry in entries:
        if entry.kind == "hold":
            found[entry.version] = entry
        elif entry.kind == "release_hold":
            found.pop(entry.version, None)
    return found


def _of_entry(entry: Entry, number: int, before: str) -> list[Problem]:
    """What is wrong with one entry that should be `number` and follow `before`."""
    body = msgspec.to_builtins(entry)
    del body["hash"]
    found = []
    if entry.seq != number:
        found.append(Problem(number, _misplaced(entry.seq, number)))
    elif before and entry.previous != before:
        text = f"the chain is broken before entry {number}: it follows another entry"
        found.append(Problem(number, text))
    if entry_hash(body) != entry.hash:
        text = f"entry {entry.seq} ({entry.kind} of {entry.version}) was edited"
        found.append(Problem(entry.seq, text))
    return found


def _misplaced(seq: int, number: int) -> str:
    if seq < number:
        return f"entry {seq} stands where entry {number} should"
    if seq == number + 1:
        return f"entry {number} is missing"
    return f"entries {number} to {seq - 1} are missing"


def _whole_lines(data: bytes) -> list[bytes]:
    return data.split(b"\n")[:-1]


def _parse(line: bytes) -> Entry | None:
    try:
        return msgspec.json.decode(line, type=Entry)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


def _with_key(entries: list[Entry], key: str | None) -> Entry | None:
    return next((e for e in entries if key is not None and e.key == key), None)
