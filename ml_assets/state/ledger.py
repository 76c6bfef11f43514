"""What was decided on a model, by whom and on what evidence: one file that only grows.

``ledger/<model>.jsonl`` holds an entry a line. Each carries the hash of the one before,
so that an entry that was edited, removed or put in between is noticed by `verify`, and
``ledger/<model>.head.json`` has the last entry that the file must reach.

The hash of an entry is the SHA-256 of its JSON without ``hash`` and ``signature``: keys
sorted, no blanks, UTF-8, as `canonical` writes it. Where a key is configured, the hash
is signed: see `ml_assets.core.signing`.
"""

import datetime as dt
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from ml_assets.core.signing import is_signed, keys, sign
from ml_assets.core.storage import below, locked, read_json, write_json
from ml_assets.records.ledger_entry import (
    KINDS,
    START,
    Entry,
    Kind,
    Problem,
    as_written,
    canonical,
    entry_hash,
    faults_of,
    unsigned,
)


class Ledger:
    """The ledgers under the storage directory `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, model: str) -> Path:
        """File of one model."""
        return below(self.root / "ledger", f"{model}.jsonl")

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
            data = self._data(model)
            entries = _entries(data)
            known = _with_key(entries, key)
            if known is not None:
                return known
            last = entries[-1] if entries else None
            body = {
                # What cannot be read has a number all the same.
                "seq": max(last.seq if last else 0, data.count(b"\n")) + 1,
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
            digest, signers = entry_hash(body), keys()
            made = {**body, "hash": digest, "signature": sign(digest, signers)}
            entry = msgspec.convert(made, Entry)
            self._write(entry, signers)
        return entry

    def entries(self, model: str) -> list[Entry]:
        """Every entry that can be read, oldest first; `verify` reports the others."""
        return _entries(self._data(model))

    def find(self, model: str, key: str) -> Entry | None:
        """The entry with this key."""
        return _with_key(self.entries(model), key)

    def verify(self, model: str) -> list[Problem]:
        """What is wrong with the ledger of `model`; empty where nothing is.

        The head is read first: entries that are appended meanwhile go beyond it.
        """
        head, data = read_json(self._head_path(model)), self._data(model)
        if head is None and data:
            # The first entry is written before the first head.
            head = read_json(self._head_path(model))
        problems: list[Problem] = []
        number, before = 0, START
        for line in _whole_lines(data):
            entry = _parse(line)
            if entry is None:
                number += 1
                problems.append(Problem(number, f"entry {number} is not readable"))
                before = ""
                continue
            problems += faults_of(entry, line, number + 1, before)
            number, before = entry.seq, entry.hash
        if data and not data.endswith(b"\n"):
            problems.append(Problem(None, "the last line is torn; it is no entry"))
        entries, known = _entries(data), keys()
        problems += unsigned(entries, known)
        return problems + _faults_of_head(head, number, entries, known)

    def _data(self, model: str) -> bytes:
        try:
            return self.path(model).read_bytes()
        except FileNotFoundError:
            return b""

    def _head_path(self, model: str) -> Path:
        return self.path(model).with_suffix(".head.json")

    def _write(self, entry: Entry, known: list[bytes]) -> None:
        line = canonical(as_written(entry)) + b"\n"
        with self.path(entry.model).open("ab") as stream:
            before = stream.tell()
            stream.write(line)
            stream.flush()
            try:
                os.fsync(stream.fileno())
            except OSError:
                # The kernel may have dropped it, and shows it until it needs the room:
                # who tries again is to write it, and not to find it.
                stream.truncate(before)
                raise
        head: dict[str, Any] = {"seq": entry.seq, "hash": entry.hash}
        signature = sign(_head_text(head), known)
        if signature is not None:
            head["signature"] = signature
        write_json(self._head_path(entry.model), head)

    def _cut_torn_tail(self, model: str) -> None:
        """Remove the beginning of an entry whose writer died."""
        data = self._data(model)
        whole = data.rfind(b"\n") + 1
        if whole < len(data):
            os.truncate(self.path(model), whole)


def active_holds(entries: list[Entry]) -> dict[str, Entry]:
    """Versions on hold, and the entry that put each there.

    An entry of a kind that only newer code knows may be meant to stop its version, and
    counts as a hold until an unhold.
    """
    found: dict[str, Entry] = {}
    for entry in entries:
        if entry.kind == "hold" or entry.kind not in KINDS:
            found[entry.version] = entry
        elif entry.kind == "release_hold":
            found.pop(entry.version, None)
    return found


def _faults_of_head(
    head: Any, last: int, entries: list[Entry], known: list[bytes]
) -> list[Problem]:
    """What the chain itself does not show: that its end is gone, or was made anew."""
    if known and any(entry.signature for entry in entries):
        signature = str((head or {}).get("signature"))
        if head is None or not is_signed(_head_text(head), signature, known):
            text = "how far it must reach is not signed: its end may be missing"
            return [Problem(None, text)]
    if head is None:
        return []
    if head["seq"] > last:
        text = f"entries after {last} are missing: there were {head['seq']}"
        return [Problem(last + 1, text)]
    hashes = {entry.seq: entry.hash for entry in entries}
    if hashes.get(head["seq"], head["hash"]) != head["hash"]:
        text = f"entry {head['seq']} is not the one that was written"
        return [Problem(head["seq"], text)]
    return []


def _entries(data: bytes) -> list[Entry]:
    found = (_parse(line) for line in _whole_lines(data))
    return [entry for entry in found if entry is not None]


def _head_text(head: Mapping[str, Any]) -> str:
    return f"head {head['seq']} {head['hash']}"


def _whole_lines(data: bytes) -> list[bytes]:
    return data.split(b"\n")[:-1]


def _parse(line: bytes) -> Entry | None:
    try:
        return msgspec.json.decode(line, type=Entry)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


def _with_key(entries: list[Entry], key: str | None) -> Entry | None:
    return next((e for e in entries if key is not None and e.key == key), None)
