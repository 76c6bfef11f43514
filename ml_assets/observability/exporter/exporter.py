"""The exporter: its sources, and the port that Prometheus scrapes."""

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

from ml_assets.observability.exporter.event_log import EventLogSource
from ml_assets.observability.exporter.instance import InstanceSource, LazyInstance
from ml_assets.observability.exporter.ledger_tails import VERIFY_SECONDS
from ml_assets.observability.exporter.metric_families import LIMIT, FoldedSeries
from ml_assets.observability.exporter.polling import (
    Poller,
    Source,
    SourceHealth,
    logger,
)
from ml_assets.observability.exporter.run_traces import trace_sources
from ml_assets.observability.exporter.storage import StorageSource

# How long a poll may last once the exporter stops.
STOP_SECONDS = 5.0


class Exporter(Collector):
    """A Prometheus collector of everything that the sources returned last.

    Parameters
    ----------
    dagster_home
        Directory of the Dagster instance.
    seconds
        Between two polls of a source.
    series
        The most of one counter or histogram.
    verify_seconds
        Each ledger is verified as a whole at least so often.
    """

    def __init__(
        self,
        dagster_home: Path,
        seconds: float,
        series: int = LIMIT,
        verify_seconds: float = VERIFY_SECONDS,
    ) -> None:
        folded = FoldedSeries(series)
        self._instance = LazyInstance(dagster_home)
        self._events = EventLogSource(self._instance, folded)
        sources: list[Source] = [
            InstanceSource(self._instance, folded),
            self._events,
            StorageSource(folded, verify_seconds),
            *trace_sources(self._instance),
        ]
        self._health = SourceHealth(folded)
        self._pollers = [Poller(item, self._health, seconds) for item in sources]

    def start(self) -> None:
        """Poll every source from now on."""
        for poller in self._pollers:
            poller.start()

    def close(self) -> None:
        """Stop polling."""
        for poller in self._pollers:
            poller.stop()
        for poller in self._pollers:
            poller.join(STOP_SECONDS)
        self._instance.close()

    def collect(self) -> Iterator[Metric]:
        """The families of the last polls; a scrape reads no source and never waits."""
        info = GaugeMetricFamily(
            "ml_assets_exporter_info", "The version of ml_assets.", labels=["version"]
        )
        info.add_metric([version("ml-assets")], 1.0)
        yield info
        yield GaugeMetricFamily(
            "ml_assets_exporter_ready",
            "1 once the event log was read to its end.",
            value=float(self._events.is_ready),
        )
        yield from self._health.metrics()
        for poller in self._pollers:
            yield from poller.latest

    def describe(self) -> Sequence[Metric]:
        """Nothing: names are known when they are collected."""
        return ()


def serve(exporter: Exporter, host: str, port: int) -> None:
    """Answer ``GET /metrics`` until SIGTERM or SIGINT.

    Raises
    ------
    OSError
        If the port is in use.
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
