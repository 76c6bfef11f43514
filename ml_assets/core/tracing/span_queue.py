"""Spans on their way to the collector; whoever is traced never waits."""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from ml_assets.core.tracing.spans import Span

# Making and sending a span takes a tenth of a millisecond that no request gets: beyond
# so many a second they are dropped.
LIMIT = 2048
SECONDS = 1.0
BATCH = 512
# How long the last ones may take when the process stops.
LAST_SECONDS = 3.0


T = TypeVar("T")


class SpanQueue(Generic[T]):
    """Makes and sends spans in a thread of its own, some at a time.

    Parameters
    ----------
    make
        Makes the span of what was noted.
    send
        Hands spans to the collector and says whether they were taken.
    lose
        Is told how many were dropped: because too many wait, or because they were not
        taken.
    """

    def __init__(
        self,
        make: Callable[[T], Span],
        send: Callable[[Sequence[Span]], bool],
        lose: Callable[[int], None],
    ) -> None:
        self._make = make
        self._send = send
        self._lose = lose
        self._waiting: deque[T] = deque()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="spans", daemon=True)
        self._thread.start()

    def put(self, noted: T) -> None:
        """Send the span of `noted` soon, unless too many wait."""
        if len(self._waiting) < LIMIT:
            self._waiting.append(noted)
        else:
            self._lose(1)

    def close(self) -> None:
        """Send what waits, for a short time."""
        self._stop.set()
        self._thread.join(LAST_SECONDS)

    def _run(self) -> None:
        while not self._stop.wait(SECONDS):
            self._flush()
        self._flush()

    def _flush(self) -> None:
        while self._waiting:
            count = min(BATCH, len(self._waiting))
            batch = [self._make(self._waiting.popleft()) for _ in range(count)]
            if not self._send(batch):
                self._lose(count)
