"""Spans on their way to the collector; whoever makes them never waits."""

import threading
from collections import deque
from collections.abc import Callable, Sequence

from ml_assets.telemetry.spans import Span

LIMIT = 2048
BATCH = 512
SECONDS = 0.5
# How long the last ones may take when the process stops.
LAST_SECONDS = 3.0


class SpanQueue:
    """Sends spans from a thread of its own, some at a time.

    Parameters
    ----------
    send
        Hands spans to the collector and says whether they were taken.
    lose
        Is told how many were dropped: because too many wait, or because they were not
        taken.
    """

    def __init__(
        self, send: Callable[[Sequence[Span]], bool], lose: Callable[[int], None]
    ) -> None:
        self._send = send
        self._lose = lose
        self._waiting: deque[Span] = deque()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="spans", daemon=True)
        self._thread.start()

    def put(self, span: Span) -> None:
        """Send `span` soon, unless too many wait."""
        if len(self._waiting) < LIMIT:
            self._waiting.append(span)
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
            batch = [self._waiting.popleft() for _ in range(count)]
            if not self._send(batch):
                self._lose(count)
