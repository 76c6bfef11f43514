"""Prediction ids: UUIDv7, so that an id sorts by time and tells its day."""

import os
import threading
import time

_COUNTER_BITS = 26
_COUNTER_END = 1 << _COUNTER_BITS
_POOL = 512


class PredictionIds:
    """A source of UUIDv7 texts that strictly increase within the process.

    The 26 bits after the time stamp count ids within one millisecond, from a random
    start (RFC 9562, section 6.2, method 1); the last 48 bits are random.

    Examples
    --------
    >>> ids = PredictionIds()
    >>> first, second = ids.take(2)
    >>> len(first), first[14], first < second
    (36, '7', True)
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._millisecond = 0
        self._counter = 0
        self._prefix = ""
        self._random = ""
        self._position = 0

    def take(self, count: int) -> list[str]:
        """The next `count` ids, in ascending order."""
        with self._lock:
            self._advance()
            return [self._next() for _ in range(count)]

    def _advance(self) -> None:
        # A clock that is set back must not make ids go back.
        now = time.time_ns() // 1_000_000
        if now > self._millisecond:
            self._start(now)

    def _start(self, millisecond: int) -> None:
        self._millisecond = millisecond
        # Half of the range is left to count in.
        self._counter = int.from_bytes(os.urandom(4)) >> 7
        text = f"{millisecond:012x}"
        self._prefix = f"{text[:8]}-{text[8:]}-7"

    def _next(self) -> str:
        self._counter += 1
        if self._counter == _COUNTER_END:
            self._start(self._millisecond + 1)
        position = self._position
        if position == len(self._random):
            self._random = os.urandom(6 * _POOL).hex()
            position = 0
        self._position = position + 12
        count = self._counter
        return (
            f"{self._prefix}{count >> 14:03x}-{0x8000 | count & 0x3FFF:04x}-"
            f"{self._random[position:position + 12]}"
        )
