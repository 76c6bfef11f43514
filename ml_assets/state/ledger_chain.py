"""What is wrong with a ledger, by its rows and its head."""

import hashlib
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Row

from ml_assets.core.decoding import decoder
from ml_assets.core.signing import Keys, is_public
from ml_assets.records.ledger_entry import (
    START,
    Entry,
    Problem,
    Signatures,
    misplaced,
)

_DECODER = decoder(Entry)


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
    rows: Iterable[Any], head: Head | None, known: Keys, since: int = 0
) -> list[Problem]:
    """What is wrong with the rows of a ledger from the entry `since` on, in order.

    No row is kept: making the objects of a long ledger takes longer than to verify it.
    """
    problems: list[Problem] = []
    signatures = Signatures(known)
    number, before, is_empty = (since - 1, "", True) if since else (0, START, True)
    for model, seq, kind, version, key, text, digest, signature in rows:
        line = text.encode()
        try:
            entry = _DECODER.decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            number, before = seq, ""
            problems.append(Problem(number, f"entry {number} is not readable"))
            continue
        is_as_written = (
            hashlib.sha256(line).hexdigest() == digest
            and entry.seq == seq
            and entry.model == model
            and entry.kind == kind
            and entry.version == version
            and entry.key == key
        )
        follows = entry.previous == before or not before
        if not (is_as_written and follows and entry.seq == number + 1):
            problems += _faults_of(entry, number + 1, follows, is_as_written)
        signatures.add(entry, digest, signature)
        number, before, is_empty = entry.seq, digest, False
    problems += signatures.problems
    if known and not is_empty and signatures.begun is None:
        text = "no entry is signed, though there is a key: `--sign` begins"
        problems.append(Problem(None, text))
    # Of a last entry that cannot be read, the hash is not looked at.
    return problems + _faults_of_head(head, number, before, is_empty, signatures, known)


def _faults_of(
    entry: Entry, number: int, follows: bool, is_as_written: bool
) -> Iterator[Problem]:
    if entry.seq != number:
        yield Problem(number, misplaced(entry.seq, number))
    elif not follows:
        text = f"the chain is broken before entry {number}: it follows another entry"
        yield Problem(number, text)
    if not is_as_written:
        text = f"entry {entry.seq} ({entry.kind} of {entry.version}) was edited"
        yield Problem(entry.seq, text)


def _faults_of_head(
    head: Head | None,
    last: int,
    digest: str,
    is_empty: bool,
    signatures: Signatures,
    known: Keys,
) -> list[Problem]:
    """The chain cannot show that its end is gone, or was made anew."""
    is_newer = signatures.public is not None
    # Who has only the other sort of keys cannot judge it.
    if signatures.begun and (known.public if is_newer else known.shared):
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
        return [] if is_empty else [Problem(None, "it has no head")]
    if head.seq > last:
        text = f"entries after {last} are missing: there were {head.seq}"
        return [Problem(last + 1, text)]
    if head.seq < last:
        text = f"entries after {head.seq} were added by something else"
        return [Problem(head.seq + 1, text)]
    if not is_empty and digest and digest != head.hash:
        text = f"entry {head.seq} is not the one that was written"
        return [Problem(head.seq, text)]
    return []
