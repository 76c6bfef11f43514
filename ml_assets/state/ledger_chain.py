"""What is wrong with a ledger, by its rows and its head."""

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Row

from ml_assets.core.signing import Keys, is_public
from ml_assets.records.ledger_entry import START, Entry, Problem, misplaced, unsigned

_DECODER = msgspec.json.Decoder(Entry)


class Head(NamedTuple):
    """The last entry of a ledger, and the signature of that it is the last."""

    seq: int
    hash: str
    signature: str | None


def head_text(seq: int, digest: str) -> str:
    """What the signature of a head is made of."""
    return f"head {seq} {digest}"


def entry_of(row: Row[Any]) -> Entry | None:
    """The entry of a row; None where it cannot be read."""
    try:
        found = _DECODER.decode(row.line)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    return msgspec.structs.replace(found, hash=row.hash, signature=row.signature)


def problems_of(
    rows: Sequence[Row[Any]], head: Head | None, known: Keys, since: int = 0
) -> list[Problem]:
    """What is wrong with the rows of a ledger from the entry `since` on, in order."""
    problems: list[Problem] = []
    entries: list[Entry] = []
    number, before = (since - 1, "") if since else (0, START)
    for row in rows:
        entry = entry_of(row)
        if entry is None:
            number, before = row.seq, ""
            problems.append(Problem(number, f"entry {number} is not readable"))
            continue
        if not _is_sound(entry, row, number + 1, before):
            problems += _faults_of(entry, row, number + 1, before)
        number, before = entry.seq, entry.hash
        entries.append(entry)
    problems += unsigned(entries, known)
    return problems + _faults_of_head(head, number, entries, known)


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
    head: Head | None, last: int, entries: list[Entry], known: Keys
) -> list[Problem]:
    """The chain cannot show that its end is gone, or was made anew."""
    signatures = [entry.signature for entry in entries if entry.signature]
    is_newer = any(map(is_public, signatures))
    # Who has only the other sort of keys cannot judge it.
    if signatures and (known.public if is_newer else known.shared):
        signed = (
            head is not None
            and head.signature is not None
            and is_public(head.signature) >= is_newer
            and known.is_signed(head_text(head.seq, head.hash), head.signature)
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
