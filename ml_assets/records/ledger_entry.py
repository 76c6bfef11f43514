"""One entry of a ledger: its hash, and what can be wrong with it among the others."""

import json
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, get_args

import msgspec

from ml_assets.core.signing import Keys, is_public

Kind = Literal[
    "deployment",
    "promotion",
    "rollback",
    "retirement",
    "refusal",
    "hold",
    "release_hold",
    "approval",
    "experiment",
    "signing",
    "contract",
    "release_staging",
    "release_production",
    "release_failure",
]

KINDS: frozenset[str] = frozenset(get_args(Kind))
START = "0" * 64


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One decision.

    Attributes
    ----------
    seq : int
        Number of the entry, from 1.
    kind : str
        One of `KINDS`, or one that a later release of this package wrote.
    time : str
        When, in UTC, ISO 8601.
    generation : int or None
        The plan that came of it; None where none did.
    key : str or None
        What makes it unique: an entry with the same key is not made again.
    previous : str
        Hash of the entry before; 64 zeros for the first.
    signature : str or None
        That of the hash; None where no key was configured.
    """

    seq: int
    time: str
    kind: str
    model: str
    version: str
    generation: int | None
    who: str
    why: str
    evidence: dict[str, Any]
    key: str | None
    previous: str
    hash: str = ""
    signature: str | None = None


class Problem(NamedTuple):
    """Something that is wrong, and the number of the entry that it is about, if one."""

    seq: int | None
    message: str


def canonical(value: Mapping[str, Any]) -> bytes:
    """The JSON that is hashed and written.

    Examples
    --------
    >>> canonical({"b": 1, "a": None})
    b'{"a":null,"b":1}'
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode()


class Signatures:
    """What is wrong with the signatures of entries, given one after the other.

    What stands before the first signed entry is covered by it, through the chain. After
    the first signature of a private key, no shared secret is good any more.

    Attributes
    ----------
    problems : list of Problem
        Entries that lack a signature although signing had begun, or have a false one.
    begun, public : int or None
        The first entry with a signature, and the first with one of a private key.
    """

    def __init__(self, known: Keys) -> None:
        self._known = known
        self.problems: list[Problem] = []
        self.begun: int | None = None
        self.public: int | None = None

    def add(self, entry: Entry, digest: str, signature: str | None) -> None:
        """The next entry, with its hash and the signature of that."""
        if signature is None and self.begun is None:
            return
        message = self._fault(entry.seq, digest, signature)
        if message:
            name = f"entry {entry.seq} ({entry.kind} of {entry.version})"
            self.problems.append(Problem(entry.seq, f"{name} is {message}"))

    def _fault(self, seq: int, digest: str, signature: str | None) -> str:
        if signature is None:
            return f"not signed, and entry {self.begun} before it is"
        self.begun = self.begun or seq
        if is_public(signature):
            self.public = self.public or seq
        elif self.public is not None:
            before = f"entry {self.public} before it with a private key"
            return f"signed with a shared secret, and {before}"
        # Who has only the other sort of keys cannot judge this one.
        can_judge = self._known.public if is_public(signature) else self._known.shared
        if can_judge and not self._known.is_signed(digest, signature):
            return "signed with another key, or forged"
        return ""


def misplaced(seq: int, number: int) -> str:
    """What it means that entry `seq` stands where `number` should."""
    if seq < number:
        return f"entry {seq} stands where entry {number} should"
    if seq == number + 1:
        return f"entry {number} is missing"
    return f"entries {number} to {seq - 1} are missing"
