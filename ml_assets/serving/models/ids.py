"""Prediction ids: UUIDv7, so that an id sorts by time and holds its day."""

import os
import threading
import time

# The variant's two bits and a counter of 14.
_COUNTERS = [f"{counter:x}" for counter in range(0x8000, 0xC000)]
_END = len(_COUNTERS)
_TAIL_BYTES = 6
# A clock that is set back by more was wrong, and its date must not stay in the ids.
_BACK_MILLISECONDS = 60_000
_POOL = 512


class PredictionIds:
    """A source of UUIDv7 texts that strictly increase within the process.

    They do so while the clock does, and where it is set back by less than a minute.

    The 12 bits after the version are random and hold for a millisecond; the next 14
    count within it from a random start, and when they run out the millisecond is moved
    on (RFC 9562, section 6.2, method 1); the last 48 bits are random.

    Examples
    --------
    >>> ids = PredictionIds()
    >>> first, second = ids.take(2)
    >>> len(first), first[14], first < second
    (36, '7', True)
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # Of the clock, and of the ids, which is later after the clock was set back.
        self._clock = self._millisecond = 0
        self._counter = _END
        self._prefix = ""
        self._tails: list[str] = []

    def one(self) -> str:
        """The next id."""
        with self._lock:
            now = time.time_ns() // 1_000_000
            if now != self._clock:
                self._clock = now
                # A clock that is set back a little must not make ids go back.
                if not 0 <= self._millisecond - now <= _BACK_MILLISECONDS:
                    self._start(now)
            counter = self._counter
            if counter == _END:
                self._start(self._millisecond + 1)
                counter = self._counter
            self._counter = counter + 1
            tails = self._tails
            if not tails:
                self._tails = tails = _tails(_POOL)
            return f"{self._prefix}{_COUNTERS[counter]}-{tails.pop()}"

    def take(self, count: int) -> list[str]:
        """The next `count` ids, in ascending order."""
        found = [self.one()]
        if count > 1:
            with self._lock:
                while len(found) < count:
                    found += self._run(count - len(found))
        return found

    def _start(self, millisecond: int) -> None:
        self._millisecond = millisecond
        start = int.from_bytes(os.urandom(4))
        # Half of the counter's range is left to count in.
        self._counter = start & 0x1FFF
        text = f"{millisecond:012x}"
        self._prefix = f"{text[:8]}-{text[8:]}-7{start >> 20:03x}-"

    def _run(self, count: int) -> list[str]:
        """At most `count` ids, as many as the counter still gives."""
        if self._counter == _END:
            self._start(self._millisecond + 1)
        first, prefix = self._counter, self._prefix
        self._counter = end = min(first + count, _END)
        count = end - first
        counters = _COUNTERS[first:end]
        return [
            f"{prefix}{counter}-{tail}"
            for counter, tail in zip(counters, _tails(count), strict=True)
        ]


def _tails(count: int) -> list[str]:
    """The random ends of so many ids."""
    return os.urandom(_TAIL_BYTES * count).hex("-", _TAIL_BYTES).split("-")
