"""Prometheus metrics of one server process.

The event loop adds to plain integers; the objects that Prometheus asks for are built
when it asks. Label values come from plans and routes, never from a caller.
"""

import threading
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from wsgiref.simple_server import WSGIServer

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

SECONDS = (
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5,
    1.0, 2.5,
)  # fmt: skip
_LABELS = ("route", "model", "version", "arm")


class Series:
    """The counts of one route, model, version and arm."""

    __slots__ = ("labels", "statuses", "buckets", "seconds", "rows")

    def __init__(self, labels: tuple[str, str, str, str]) -> None:
        self.labels = labels
        self.statuses: dict[int, int] = {}
        self.buckets = [0] * (len(SECONDS) + 1)
        self.seconds = 0.0
        self.rows = 0

    def observe(self, status: int, seconds: float, rows: int) -> None:
        """Count one answer."""
        self.statuses[status] = self.statuses.get(status, 0) + 1
        self.buckets[bisect_left(SECONDS, seconds)] += 1
        self.seconds += seconds
        self.rows += rows


class Metrics(Collector):
    """All series of the process, and its gauges."""

    def __init__(self) -> None:
        self._series: dict[tuple[str, str, str, str], Series] = {}
        self._lock = threading.Lock()
        self.in_flight = 0
        self.connections = 0
        self.ready = False
        self.generations: dict[str, int] = {}
        self.refusals: dict[str, int] = {}
        self.lost: dict[str, int] = {}
        self.shadow_dropped: dict[str, int] = {}
        self.labels: dict[str, int] = {}
        self.spans_lost = 0

    def series(
        self, route: str, model: str = "", version: str = "", arm: str = ""
    ) -> Series:
        """The one series of these labels."""
        labels = (route, model, version, arm)
        with self._lock:
            return self._series.setdefault(labels, Series(labels))

    def refused(self, model: str) -> None:
        """Count a plan of `model` that could not be loaded."""
        self.refusals[model] = self.refusals.get(model, 0) + 1

    def collect(self) -> Iterator[Metric]:
        """The metrics, for the Prometheus client."""
        requests = CounterMetricFamily(
            "ml_assets_requests", "Answers given.", labels=(*_LABELS, "status")
        )
        rows = CounterMetricFamily("ml_assets_rows", "Rows predicted.", labels=_LABELS)
        latency = HistogramMetricFamily(
            "ml_assets_request_seconds",
            "From the end of the headers to the answer.",
            labels=_LABELS,
        )
        for item in self._all():
            for status, count in sorted(item.statuses.copy().items()):
                requests.add_metric((*item.labels, str(status)), count)
            if item.statuses:
                latency.add_metric(item.labels, _cumulated(item.buckets), item.seconds)
            if item.rows:
                rows.add_metric(item.labels, item.rows)
        yield from (requests, rows, latency)
        yield from self._gauges()

    def _all(self) -> Iterable[Series]:
        with self._lock:
            return list(self._series.values())

    def _gauges(self) -> Iterator[Metric]:
        generation = GaugeMetricFamily(
            "ml_assets_plan_generation", "Generation that is served.", labels=["model"]
        )
        for model, number in self.generations.copy().items():
            generation.add_metric([model], number)
        yield generation
        for name, text, counts in (
            ("plans_refused", "Plans that could not be loaded.", self.refusals),
            ("prediction_log_lost", "Predictions that were not logged.", self.lost),
            ("shadow_dropped", "Rows that no shadow scored.", self.shadow_dropped),
            ("labels", "Labels taken by feedback.", self.labels),
        ):
            counter = CounterMetricFamily(f"ml_assets_{name}", text, labels=["model"])
            for model, number in counts.copy().items():
                counter.add_metric([model], number)
            yield counter
        yield CounterMetricFamily(
            "ml_assets_spans_lost", "Spans no collector took.", value=self.spans_lost
        )
        yield GaugeMetricFamily(
            "ml_assets_in_flight", "Requests being answered.", value=self.in_flight
        )
        yield GaugeMetricFamily(
            "ml_assets_connections", "Open connections.", value=self.connections
        )
        yield GaugeMetricFamily(
            "ml_assets_ready", "1 if every model is served.", value=float(self.ready)
        )


def _cumulated(buckets: list[int]) -> list[tuple[str, float]]:
    bounds = [*map(str, SECONDS), "+Inf"]
    total, found = 0, []
    for bound, count in zip(bounds, buckets.copy(), strict=True):
        total += count
        found.append((bound, float(total)))
    return found


def serve_metrics(metrics: Metrics, host: str, port: int) -> WSGIServer:
    """Answer ``GET /metrics`` at `port` from a thread of its own.

    Raises
    ------
    OSError
        If the port is taken.
    """
    registry = CollectorRegistry()
    registry.register(metrics)
    server, _ = start_http_server(port, addr=host, registry=registry)
    return server
