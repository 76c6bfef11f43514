"""Followers: each reads one source again and again, in a thread of its own."""

import logging
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

from prometheus_client.core import Metric

from ml_assets.observability.exporter.families import Counts, Folded, Gauges

logger = logging.getLogger("ml_assets.exporter")


class Follower(Protocol):
    """Something that has to be looked at every few seconds.

    Attributes
    ----------
    source : str
        What is looked at; a label of the exporter's own metrics.
    """

    source: str

    def look(self, stop: threading.Event) -> Sequence[Metric]:
        """Read what is new and return every family; give up when `stop` is set.

        What it raises is logged and counted, and it is called again.
        """


class Health:
    """How the followers fare."""

    def __init__(self, folded: Folded) -> None:
        labels = ("source",)
        name = "ml_assets_exporter"
        self._up = Gauges(
            f"{name}_source_up", "1 if the last look at a source went well.", labels
        )
        self._at = Gauges(
            f"{name}_last_refresh_timestamp_seconds",
            "When a source was last looked at with success.",
            labels,
        )
        self._seconds = Gauges(
            f"{name}_refresh_duration_seconds", "How long the last look took.", labels
        )
        self._errors = Counts(
            f"{name}_errors_total", "Looks that failed.", labels, folded
        )
        self._folded = folded
        self._lock = threading.Lock()

    def expect(self, source: str) -> None:
        """Know a source that was not looked at yet."""
        with self._lock:
            self._errors.add(source, n=0)

    def went_well(self, source: str, seconds: float) -> None:
        """Note a look with success."""
        with self._lock:
            self._up.set(source, value=1.0)
            self._at.set(source, value=time.time())
            self._seconds.set(source, value=seconds)

    def failed(self, source: str, seconds: float) -> None:
        """Note a look that raised."""
        with self._lock:
            self._up.set(source, value=0.0)
            self._seconds.set(source, value=seconds)
            self._errors.add(source)

    def metrics(self) -> Iterator[Metric]:
        """The families."""
        with self._lock:
            for table in (self._up, self._at, self._seconds, self._errors):
                yield table.metric()
            folded = Counts(
                "ml_assets_exporter_series_folded_total",
                "Events counted as other, or left out: their family was full.",
                ("family",),
                Folded(),
            )
            for family, count in self._folded.counts.copy().items():
                folded.add(family, n=count)
            yield folded.metric()


class Loop:
    """The thread of one follower.

    Parameters
    ----------
    follower
        What is done.
    health
        Told how it went.
    seconds
        Between the end of one look and the next.
    """

    def __init__(self, follower: Follower, health: Health, seconds: float) -> None:
        self._follower = follower
        self._health = health
        self._seconds = seconds
        self._reason = ""
        self._stop = threading.Event()
        self._thread = threading.Thread(
            target=self._run, name=f"follow {follower.source}", daemon=True
        )
        self.published: Sequence[Metric] = ()
        health.expect(follower.source)

    def start(self) -> None:
        """Follow from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Have it end after what it is doing."""
        self._stop.set()

    def join(self, timeout: float) -> None:
        """Wait for the end of the thread; it does not keep the process."""
        self._thread.join(timeout)

    def _run(self) -> None:
        while not self._stop.is_set():
            self._look()
            self._stop.wait(self._seconds)

    def _look(self) -> None:
        source, began = self._follower.source, time.monotonic()
        try:
            self.published = self._follower.look(self._stop)
        except Exception as error:
            # The thread must outlive whatever a database or a disk does.
            self._health.failed(source, time.monotonic() - began)
            reason = f"{type(error).__name__}: {error}"
            if reason != self._reason:
                logger.warning("%s cannot be read: %s", source, reason, exc_info=True)
            self._reason = reason
            return
        if self._reason:
            logger.info("%s can be read again", source)
        self._reason = ""
        self._health.went_well(source, time.monotonic() - began)


def collected(loops: Iterable[Loop]) -> Iterator[Metric]:
    """What the followers published last."""
    for loop in loops:
        yield from loop.published
