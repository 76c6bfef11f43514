"""Spans as plain values, without OpenTelemetry, and their queue to the collector."""

import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Generic, Literal, NamedTuple, TypeVar

Attribute = str | bool | int | float
Attributes = Mapping[str, Attribute]

# Making and sending a span takes a tenth of a millisecond that no request gets: beyond
# so many a second they are dropped.
LIMIT = 2048
SECONDS = 1.0
BATCH = 512
# How long the last ones may take when the process stops.
LAST_SECONDS = 3.0

T = TypeVar("T")


class SpanEvent(NamedTuple):
    """Something that happened during a span, in Unix nanoseconds."""

    name: str
    time: int
    attributes: Attributes


class Link(NamedTuple):
    """Another span that this one follows from; ids in hexadecimal."""

    trace: str
    span: str
    attributes: Attributes


class Span(NamedTuple):
    """One span; ids are in hexadecimal, times in Unix nanoseconds.

    ``error`` is the reason of a failure, else None. The parent of a `server` span
    is in another process.
    """

    trace: str
    id: str
    parent: str | None
    name: str
    start: int
    end: int
    attributes: Attributes
    kind: Literal["internal", "server"] = "internal"
    events: Sequence[SpanEvent] = ()
    links: Sequence[Link] = ()
    error: str | None = None


class SpanQueue(Generic[T]):
    """Makes and sends spans in a thread of its own, in batches; callers never wait.

    Parameters
    ----------
    make
        Makes the span of an item.
    send
        Sends spans to the collector; whether it accepted them.
    lose
        Counts the spans that were dropped: because too many wait, or because they were
        not accepted.
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

    def put(self, item: T) -> None:
        """Send the span of `item` soon, unless too many wait."""
        if len(self._waiting) < LIMIT:
            self._waiting.append(item)
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
