"""Reads each source again and again, in a thread of its own."""

import logging
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Protocol

from prometheus_client.core import Metric

from ml_assets.observability.exporter.metric_families import (
    CounterFamily,
    FoldedSeries,
    GaugeFamily,
)

logger = logging.getLogger("ml_assets.exporter")


class Source(Protocol):
    """Something that is polled every few seconds.

    Attributes
    ----------
    name : str
        Label `source` of the exporter's own metrics.
    """

    name: str

    def poll(self, stop: threading.Event) -> Sequence[Metric]:
        """Read what is new and return every family; give up when `stop` is set.

        What it raises is logged and counted, and it is called again.
        """


class SourceHealth:
    """When each source was polled, for how long, and whether that succeeded."""

    def __init__(self, folded: FoldedSeries) -> None:
        labels = ("source",)
        prefix = "ml_assets_exporter"
        self._up = GaugeFamily(
            f"{prefix}_source_up", "1 if the last poll of a source succeeded.", labels
        )
        self._at = GaugeFamily(
            f"{prefix}_last_refresh_timestamp_seconds",
            "When a source was last polled with success.",
            labels,
        )
        self._seconds = GaugeFamily(
            f"{prefix}_refresh_duration_seconds",
            "Duration of the last poll of a source.",
            labels,
        )
        self._errors = CounterFamily(
            f"{prefix}_errors_total", "Polls of a source that failed.", labels, folded
        )
        self._folded = folded
        self._lock = threading.Lock()

    def register(self, source: str) -> None:
        """Add a source that was not polled yet."""
        with self._lock:
            self._errors.add(source, n=0)

    def succeeded(self, source: str, seconds: float) -> None:
        """Record a poll that succeeded."""
        with self._lock:
            self._up.set(source, value=1.0)
            self._at.set(source, value=time.time())
            self._seconds.set(source, value=seconds)

    def failed(self, source: str, seconds: float) -> None:
        """Record a poll that raised."""
        with self._lock:
            self._up.set(source, value=0.0)
            self._seconds.set(source, value=seconds)
            self._errors.add(source)

    def metrics(self) -> Iterator[Metric]:
        """The families."""
        with self._lock:
            for family in (self._up, self._at, self._seconds, self._errors):
                yield family.metric()
            folded = CounterFamily(
                "ml_assets_exporter_series_folded_total",
                "Samples counted under the label other, because their family is full.",
                ("family",),
                FoldedSeries(),
            )
            for name, count in self._folded.counts.copy().items():
                folded.add(name, n=count)
            yield folded.metric()


class Poller:
    """The thread that polls one source.

    Parameters
    ----------
    source
        What is polled.
    health
        Where each poll is recorded.
    seconds
        Between the end of one poll and the next.

    Attributes
    ----------
    latest
        Families of the last poll that succeeded.
    """

    def __init__(self, source: Source, health: SourceHealth, seconds: float) -> None:
        self._source = source
        self._health = health
        self._seconds = seconds
        self._reason = ""
        self._stop = threading.Event()
        self._thread = threading.Thread(
            target=self._run, name=f"poll {source.name}", daemon=True
        )
        self.latest: Sequence[Metric] = ()
        health.register(source.name)

    def start(self) -> None:
        """Poll from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Let the thread end after its current poll."""
        self._stop.set()

    def join(self, timeout: float) -> None:
        """Wait for the end of the thread, which does not keep the process alive."""
        self._thread.join(timeout)

    def _run(self) -> None:
        while not self._stop.is_set():
            self._poll()
            self._stop.wait(self._seconds)

    def _poll(self) -> None:
        name, began = self._source.name, time.monotonic()
        try:
            self.latest = self._source.poll(self._stop)
        except Exception as error:
            # The thread must outlive whatever a database or a disk does.
            self._health.failed(name, time.monotonic() - began)
            reason = f"{type(error).__name__}: {error}"
            if reason != self._reason:
                logger.warning("%s cannot be read: %s", name, reason, exc_info=True)
            self._reason = reason
            return
        if self._reason:
            logger.info("%s can be read again", name)
        self._reason = ""
        self._health.succeeded(name, time.monotonic() - began)
