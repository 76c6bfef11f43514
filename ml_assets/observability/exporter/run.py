"""Runs the exporter: its followers, its port, and its end."""

import signal
import threading
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path

from prometheus_client import (
    GC_COLLECTOR,
    CollectorRegistry,
    ProcessCollector,
    start_http_server,
)
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from ml_assets.observability.exporter.events import EventLog
from ml_assets.observability.exporter.families import Folded
from ml_assets.observability.exporter.follower import (
    Follower,
    Health,
    Loop,
    collected,
    logger,
)
from ml_assets.observability.exporter.models import Models
from ml_assets.observability.exporter.now import Now
from ml_assets.observability.exporter.opening import Opening
from ml_assets.observability.exporter.traces import traces

# What a look may still take once the exporter was told to stop.
STOP_SECONDS = 5.0


class Exporter(Collector):
    """Everything that is told in one scrape.

    Parameters
    ----------
    dagster_home
        Directory of the Dagster instance.
    root
        Storage of the models.
    seconds
        Between two looks at a source.
    """

    def __init__(self, dagster_home: Path, root: Path, seconds: float) -> None:
        self._folded = Folded()
        self.opening = Opening(dagster_home)
        self.events = EventLog(self.opening, self._folded)
        # Whatever else has to be followed in the background joins this list.
        followers: list[Follower] = [
            Now(self.opening, self._folded),
            self.events,
            Models(root, self._folded),
            *traces(self.opening, root),
        ]
        self._health = Health(self._folded)
        self._loops = [Loop(item, self._health, seconds) for item in followers]

    def start(self) -> None:
        """Follow from now on."""
        for loop in self._loops:
            loop.start()

    def close(self) -> None:
        """End every follower."""
        for loop in self._loops:
            loop.stop()
        for loop in self._loops:
            loop.join(STOP_SECONDS)
        self.opening.close()

    def collect(self) -> Iterator[Metric]:
        """What is known; nothing is read, so that nothing is waited for."""
        info = GaugeMetricFamily(
            "ml_assets_exporter_info", "The version of ml_assets.", labels=["version"]
        )
        info.add_metric([version("ml-assets")], 1.0)
        yield info
        yield GaugeMetricFamily(
            "ml_assets_exporter_ready",
            "1 once the event log was read to its end.",
            value=float(self.events.is_ready),
        )
        yield from self._health.metrics()
        yield from collected(self._loops)

    def describe(self) -> Sequence[Metric]:
        """Nothing: names are known when they are collected."""
        return ()


def serve(exporter: Exporter, host: str, port: int) -> None:
    """Answer ``GET /metrics`` until SIGTERM or SIGINT.

    Raises
    ------
    OSError
        If the port is taken.
    """
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    registry = CollectorRegistry()
    registry.register(exporter)
    registry.register(GC_COLLECTOR)
    ProcessCollector(registry=registry)
    server, thread = start_http_server(port, addr=host, registry=registry)
    exporter.start()
    logger.info("metrics at http://%s:%s/metrics", host, server.server_port)
    stopping.wait()
    server.shutdown()
    server.server_close()
    thread.join()
    exporter.close()
    logger.info("exporter stopped")
