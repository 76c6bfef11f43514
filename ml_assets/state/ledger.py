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
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, func, select

from ml_assets.core.decoding import from_builtins
from ml_assets.core.signing import keys
from ml_assets.records.ledger_entry import (
    KINDS,
    START,
    Entry,
    Kind,
    Problem,
    canonical,
)
from ml_assets.state.engine import reading, writing
from ml_assets.state.ledger_chain import Head, entry_of, head_text, problems_of
from ml_assets.state.rows import fields, read_rows, read_values
from ml_assets.state.schema import ledger, ledger_heads


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
    signature = signers.sign(digest)
    connection.execute(
        ledger.insert().values(
            model=model,
            seq=last + 1,
            kind=kind,
            version=version,
            key=key,
            line=line.decode(),
            hash=digest,
            signature=signature,
        )
    )
    made = Head(last + 1, digest, signers.sign(head_text(last + 1, digest)))
    if head is None:
        connection.execute(ledger_heads.insert().values(model=model, **made._asdict()))
    else:
        place = ledger_heads.update().where(ledger_heads.c.model == model)
        connection.execute(place.values(**made._asdict()))
    return from_builtins({**body, "hash": digest, "signature": signature}, Entry)


class Ledger:
    """The ledgers of every model, each read as of one moment."""

    def append(self, model: str, kind: Kind, *given: Any, **named: Any) -> Entry:
        """Add an entry in a transaction of its own; see `append`."""
        with writing(model) as connection:
            return append(connection, model, kind, *given, **named)

    def newest(self) -> dict[str, tuple[int, str]]:
        """The number and hash of the last entry of every ledger."""
        rows = read_rows(select(ledger_heads))
        return {row.model: (row.seq, row.hash) for row in rows}

    def models(self) -> list[str]:
        """What has a ledger."""
        return sorted(read_values(select(ledger_heads.c.model)))

    def entries(
        self,
        model: str,
        kinds: Collection[str] = (),
        after: int = 0,
        version: str | None = None,
    ) -> list[Entry]:
        """Entries that can be read, oldest first; `verify` names the others.

        Parameters
        ----------
        kinds : collection of str, optional
            Only these; all by default.
        after : int, default=0
            Only entries with a higher number.
        version : str, optional
            Only those of this version.
        """
        wanted = _narrowed(_rows(model), kinds, version).where(ledger.c.seq > after)
        return _readable(read_rows(wanted))

    def last(
        self, model: str, kinds: Collection[str] = (), version: str | None = None
    ) -> Entry | None:
        """The newest entry that can be read, of these kinds and of this version."""
        wanted = _narrowed(_rows(model), kinds, version)
        newest = wanted.order_by(None).order_by(ledger.c.seq.desc())
        return next(iter(_readable(read_rows(newest.limit(100)))), None)

    def find(self, model: str, key: str) -> Entry | None:
        """The entry with this key."""
        with reading() as connection:
            return _find(connection, model, key)

    def held(self, model: str) -> dict[str, Entry]:
        """Versions on hold, and the entry that put each there.

        An entry of a kind that a later release wrote of a version may stop it, and so
        does, until a hold on it is lifted.
        """
        stops = ledger.c.kind.in_(["hold", "release_hold"])
        unknown = ledger.c.kind.not_in(KINDS)
        rows = read_rows(_rows(model).where(stops | unknown))
        return active_holds(_readable(rows))

    def verify(self, model: str, since: int = 0) -> list[Problem]:
        """What is wrong with the ledger of `model`; empty where nothing is.

        Parameters
        ----------
        since : int, default=0
            Only from this entry on; what it follows is not looked at.
        """
        with reading() as connection:
            head = _head(connection, model)
            wanted = _rows(model).where(ledger.c.seq >= since)
            rows = connection.execute(wanted.execution_options(yield_per=1000))
            return problems_of(rows, head, keys(), since)

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


def _readable(rows: Iterable[Row[Any]]) -> list[Entry]:
    return [entry for entry in map(entry_of, rows) if entry is not None]


def _rows(model: str) -> Any:
    return select(ledger).where(ledger.c.model == model).order_by(ledger.c.seq)


def _narrowed(rows: Any, kinds: Collection[str], version: str | None) -> Any:
    if kinds:
        rows = rows.where(ledger.c.kind.in_(kinds))
    return rows if version is None else rows.where(ledger.c.version == version)


def _find(connection: Connection, model: str, key: str) -> Entry | None:
    row = connection.execute(_rows(model).where(ledger.c.key == key)).one_or_none()
    return entry_of(row) if row is not None else None


def _head(connection: Connection, model: str) -> Head | None:
    wanted = fields(ledger_heads, Head)
    row = connection.execute(wanted.where(ledger_heads.c.model == model)).one_or_none()
    return Head(*row) if row is not None else None
