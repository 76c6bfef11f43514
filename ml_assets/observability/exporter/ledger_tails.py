"""Ledgers read by cursor: only what is new, and each verified as a whole now and then.

When a ledger has grown, its new entries are verified against the last one that was
read. What was edited before that does not show in the head, so that every ledger is
verified as a whole again after some minutes, each at another moment.
"""

import dataclasses
import hashlib
import logging
import threading
import time
from collections.abc import Callable, Iterator

from ml_assets.records.ledger_entry import Entry
from ml_assets.state.ledger import Ledger, active_holds

VERIFY_SECONDS = 600.0

logger = logging.getLogger("ml_assets.exporter")


@dataclasses.dataclass
class Tail:
    """How far a ledger was read, and what of it is kept.

    Attributes
    ----------
    head : tuple of int and str
        Number and hash of the last entry that was read.
    entries : int
        Those that can be read.
    held : dict of str to Entry
        Versions on hold.
    problems : int
        What the last verification found, and what was found of new entries since.
    replaced : bool
        Whether an entry that was read is another one now.
    verified_at, due_at : float
        Unix seconds of the last verification, and when the next one is due.
    """

    head: tuple[int, str] = (0, "")
    entries: int = 0
    held: dict[str, Entry] = dataclasses.field(default_factory=dict)
    problems: int = 0
    replaced: bool = False
    verified_at: float = 0.0
    due_at: float = 0.0

    @property
    def is_intact(self) -> bool:
        """Whether nothing is wrong, as far as it was verified."""
        return not self.problems and not self.replaced


class LedgerTails:
    """Follows every ledger of the database.

    Parameters
    ----------
    verify_seconds : float
        Each ledger is verified as a whole at least so often.
    clock : callable
        Unix seconds.
    """

    def __init__(
        self,
        verify_seconds: float = VERIFY_SECONDS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._ledger = Ledger()
        self._seconds, self._clock = verify_seconds, clock
        self.tails: dict[str, Tail] = {}

    def poll(self, stop: threading.Event) -> Iterator[tuple[str, list[Entry]]]:
        """What is new: a model, or the platform's releases, and its entries."""
        newest = self._ledger.newest()
        # One that was read, and has no head any more, is not intact.
        for model in {**self.tails, **newest}:
            if stop.is_set():
                return
            tail = self.tails.setdefault(model, Tail())
            head = newest.get(model, (0, ""))
            if tail.head != head:
                yield model, self._follow(model, tail, head)
            if self._clock() >= tail.due_at:
                self._verify(model, tail)

    def _follow(self, model: str, tail: Tail, head: tuple[int, str]) -> list[Entry]:
        """Read on, from the last entry that was read."""
        last, digest = tail.head
        found = self._ledger.entries(model, after=max(last - 1, 0))
        if last:
            known = next((entry for entry in found if entry.seq == last), None)
            if head[0] <= last or (known is not None and known.hash != digest):
                logger.warning("entry %s of %s is not what it was", last, model)
                tail.replaced = True
            tail.problems += len(self._ledger.verify(model, since=last))
        new = [entry for entry in found if entry.seq > last]
        # More than up to the head, where another one was made meanwhile.
        tail.head = (new[-1].seq, new[-1].hash) if new else head
        tail.entries += len(new)
        tail.held = active_holds([*tail.held.values(), *new])
        return new

    def _verify(self, model: str, tail: Tail) -> None:
        tail.problems = len(self._ledger.verify(model))
        tail.verified_at = self._clock()
        # The first time all are due at once; the second time they are spread out.
        share = 1.0
        if not tail.due_at:
            digit = hashlib.sha256(model.encode()).digest()[0]
            share = 0.5 + digit / 512
        tail.due_at = tail.verified_at + share * self._seconds
