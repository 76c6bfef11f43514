"""What was decided on a model, by whom and on what evidence: rows that are only added.

Each entry carries the hash of the one before, so that an entry that was edited, removed
or put in between is noticed by `verify`; the head says how far a ledger must reach.

The hash of an entry is the SHA-256 of its JSON without ``hash`` and ``signature``: keys
sorted, no blanks, UTF-8, as `canonical` writes it. That JSON is kept as it was hashed,
so that fields and kinds of a later release survive in an earlier one. Where a key is
configured, the hash is signed: see `ml_assets.core.signing`.
"""

import datetime as dt
import hashlib
import json
from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection, Row, func, select

from ml_assets.core.signing import is_signed, keys, sign
from ml_assets.records.ledger_entry import (
    KINDS,
    START,
    Entry,
    Kind,
    Problem,
    canonical,
    misplaced,
    unsigned,
)
from ml_assets.state.engine import reading, writing
from ml_assets.state.schema import ledger, ledger_heads

_DECODER = msgspec.json.Decoder(Entry)


class _Head(NamedTuple):
    """The last entry of a ledger, and the signature of that it is the last."""

    seq: int
    hash: str
    signature: str | None


def append(
    connection: Connection,
    model: str,
    kind: Kind,
    version: str,
    generation: int | None,
    who: str,
    why: str,
    evidence: Mapping[str, Any],
    key: str | None = None,
) -> Entry:
    """Add an entry in a transaction of `writing(model)`; it is there with its commit.

    Returns
    -------
    Entry
        The new one, or the one with the same `key`, if there is one.
    """
    if key is not None:
        known = _find(connection, model, key)
        if known is not None:
            return known
    head = _head(connection, model)
    # What cannot be read, or was added behind the head, has a number all the same.
    newest = select(func.max(ledger.c.seq)).where(ledger.c.model == model)
    last = max(head.seq if head else 0, connection.scalar(newest) or 0)
    body = {
        "seq": last + 1,
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
        "previous": head.hash if head else START,
    }
    line, signers = canonical(body), keys()
    digest = hashlib.sha256(line).hexdigest()
    connection.execute(
        ledger.insert().values(
            model=model,
            seq=last + 1,
            kind=kind,
            version=version,
            key=key,
            line=line.decode(),
            hash=digest,
            signature=sign(digest, signers),
        )
    )
    made = _Head(last + 1, digest, sign(_head_text(last + 1, digest), signers))
    if head is None:
        connection.execute(ledger_heads.insert().values(model=model, **made._asdict()))
    else:
        place = ledger_heads.update().where(ledger_heads.c.model == model)
        connection.execute(place.values(**made._asdict()))
    return msgspec.convert(
        {**body, "hash": digest, "signature": sign(digest, signers)}, Entry
    )


class Ledger:
    """The ledgers of every model, each read as of one moment."""

    def append(self, model: str, kind: Kind, *given: Any, **named: Any) -> Entry:
        """Add an entry in a transaction of its own; see `append`."""
        with writing(model) as connection:
            return append(connection, model, kind, *given, **named)

    def head(self, model: str) -> tuple[int, str] | None:
        """The number and hash of the last entry; None where there is none."""
        with reading() as connection:
            found = _head(connection, model)
        return None if found is None else (found.seq, found.hash)

    def models(self) -> list[str]:
        """What has a ledger."""
        with reading() as connection:
            found = connection.scalars(select(ledger_heads.c.model))
            return sorted(found)

    def entries(
        self, model: str, kinds: Collection[str] = (), after: int = 0
    ) -> list[Entry]:
        """Entries that can be read, oldest first; `verify` names the others.

        Parameters
        ----------
        kinds : collection of str, optional
            Only these; all by default.
        after : int, default=0
            Only entries with a higher number.
        """
        wanted = _rows(model).where(ledger.c.seq > after)
        if kinds:
            wanted = wanted.where(ledger.c.kind.in_(kinds))
        with reading() as connection:
            found = map(_entry, connection.execute(wanted))
            return [entry for entry in found if entry is not None]

    def last(self, model: str) -> Entry | None:
        """The newest entry that can be read."""
        newest = _rows(model).order_by(None).order_by(ledger.c.seq.desc())
        with reading() as connection:
            found = map(_entry, connection.execute(newest.limit(100)))
            return next((entry for entry in found if entry is not None), None)

    def find(self, model: str, key: str) -> Entry | None:
        """The entry with this key."""
        with reading() as connection:
            return _find(connection, model, key)

    def has_version(self, model: str, version: str) -> bool:
        """Whether anything was ever decided on a version."""
        wanted = select(ledger.c.seq).where(
            ledger.c.model == model, ledger.c.version == version
        )
        with reading() as connection:
            return connection.execute(wanted.limit(1)).first() is not None

    def held(self, model: str) -> dict[str, Entry]:
        """Versions on hold, and the entry that put each there.

        An entry of a kind that a later release wrote of a version may stop it, and so
        does, until a hold on it is lifted.
        """
        stops = ledger.c.kind.in_(["hold", "release_hold"])
        unknown = ledger.c.kind.not_in(KINDS)
        with reading() as connection:
            rows = connection.execute(_rows(model).where(stops | unknown)).all()
        return active_holds([entry for entry in map(_entry, rows) if entry is not None])

    def verify(self, model: str) -> list[Problem]:
        """What is wrong with the ledger of `model`; empty where nothing is."""
        with reading() as connection:
            head = _head(connection, model)
            rows = connection.execute(_rows(model)).all()
        problems: list[Problem] = []
        entries: list[Entry] = []
        number, before = 0, START
        for row in rows:
            entry = _entry(row)
            if entry is None:
                number, before = row.seq, ""
                problems.append(Problem(number, f"entry {number} is not readable"))
                continue
            if not _is_sound(entry, row, number + 1, before):
                problems += _faults_of(entry, row, number + 1, before)
            number, before = entry.seq, entry.hash
            entries.append(entry)
        known = keys()
        problems += unsigned(entries, known)
        return problems + _faults_of_head(head, number, entries, known)

    def export(self, model: str) -> Iterator[bytes]:
        """The ledger as lines of JSON, which can be verified without this package."""
        with reading() as connection:
            for row in connection.execute(_rows(model)):
                body = {**json.loads(row.line), "hash": row.hash}
                if row.signature is not None:
                    body["signature"] = row.signature
                yield canonical(body) + b"\n"


def active_holds(entries: list[Entry]) -> dict[str, Entry]:
    """Versions that `entries` put on hold, and the entry that did."""
    found: dict[str, Entry] = {}
    for entry in entries:
        if entry.kind == "hold" or entry.kind not in KINDS:
            found[entry.version] = entry
        elif entry.kind == "release_hold":
            found.pop(entry.version, None)
    return found


def _rows(model: str) -> Any:
    return select(ledger).where(ledger.c.model == model).order_by(ledger.c.seq)


def _find(connection: Connection, model: str, key: str) -> Entry | None:
    row = connection.execute(_rows(model).where(ledger.c.key == key)).one_or_none()
    return _entry(row) if row is not None else None


def _head(connection: Connection, model: str) -> _Head | None:
    wanted = select(*[ledger_heads.c[name] for name in _Head._fields])
    row = connection.execute(wanted.where(ledger_heads.c.model == model)).one_or_none()
    return _Head(*row) if row is not None else None


def _entry(row: Row[Any]) -> Entry | None:
    try:
        found = _DECODER.decode(row.line)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    return msgspec.structs.replace(found, hash=row.hash, signature=row.signature)


def _is_sound(entry: Entry, row: Row[Any], number: int, before: str) -> bool:
    """Whether an entry is as it was written, is `number`, and follows `before`."""
    return (
        hashlib.sha256(row.line.encode()).hexdigest() == entry.hash
        and (entry.model, entry.seq, entry.kind, entry.version, entry.key)
        == tuple(row)[:5]
        and entry.seq == number
        and (entry.previous == before or not before)
    )


def _faults_of(
    entry: Entry, row: Row[Any], number: int, before: str
) -> Iterator[Problem]:
    if entry.seq != number:
        yield Problem(number, misplaced(entry.seq, number))
    elif before and entry.previous != before:
        text = f"the chain is broken before entry {number}: it follows another entry"
        yield Problem(number, text)
    if not _is_sound(entry, row, entry.seq, entry.previous):
        text = f"entry {entry.seq} ({entry.kind} of {entry.version}) was edited"
        yield Problem(entry.seq, text)


def _faults_of_head(
    head: _Head | None, last: int, entries: list[Entry], known: list[bytes]
) -> list[Problem]:
    """The chain cannot show that its end is gone, or was made anew."""
    if known and any(entry.signature for entry in entries):
        signed = head is not None and is_signed(
            _head_text(head.seq, head.hash), str(head.signature), known
        )
        if not signed:
            text = "how far it must reach is not signed: its end may be missing"
            return [Problem(None, text)]
    if head is None:
        return [Problem(None, "it has no head")] if entries else []
    if head.seq > last:
        text = f"entries after {last} are missing: there were {head.seq}"
        return [Problem(last + 1, text)]
    if head.seq < last:
        text = f"entries after {head.seq} were added by something else"
        return [Problem(head.seq + 1, text)]
    if entries and entries[-1].hash != head.hash:
        text = f"entry {head.seq} is not the one that was written"
        return [Problem(head.seq, text)]
    return []


def _head_text(seq: int, digest: str) -> str:
    return f"head {seq} {digest}"
