"""Prometheus metrics of one server process.

The event loop adds to plain integers; the objects that Prometheus asks for are built
when it asks. Label values come from plans and routes, never from a caller.
"""

import threading
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from ml_assets.records.plan import ServingPlan, trained_at
from ml_assets.serving.metrics.unseen import Unseen

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
        self.statuses: dict[int, int] = defaultdict(int)
        self.buckets = [0] * (len(SECONDS) + 1)
        self.seconds = 0.0
        self.rows = 0

    def observe(self, status: int, seconds: float, rows: int) -> None:
        """Count one answer."""
        self.statuses[status] += 1
        self.buckets[bisect_left(SECONDS, seconds)] += 1
        self.seconds += seconds
        self.rows += rows


class Unshipped(NamedTuple):
    """What of a model's log is on this disk alone, and for how many seconds."""

    seconds: float
    bytes: int


class Metrics(Collector):
    """All series of the process, and its gauges.

    Attributes
    ----------
    plans : dict of str to ServingPlan
        What is served.
    queues : dict of str to callable
        How many requests wait for each executor.
    model_queues : callable
        How many requests for slow answers each model has.
    library_processes : callable
        How many processes answer for versions that are not compiled, and long requests.
    library_replaced : dict of str to int
        How many of them were replaced, by the reason.
    shadow_rows : callable
        How many rows wait for shadows.
    unshipped : callable
        What of each model's log is not in the storage yet.
    callers : dict of str to dict of int to int
        How many answers of each status a caller got. Its ids are those of the file of
        keys, `anonymous`, and `unknown` for all others.
    """

    def __init__(self) -> None:
        self._series: dict[tuple[str, str, str, str], Series] = {}
        self._lock = threading.Lock()
        self.in_flight = 0
        self.connections = 0
        self.ready = False
        self.storage_reachable = True
        self.plans: dict[str, ServingPlan] = {}
        self.refusals: dict[str, int] = {}
        self.lost: dict[str, int] = {}
        self.shadow_dropped: dict[str, int] = {}
        self.labels: dict[str, int] = {}
        self.shipped: dict[str, int] = {}
        self._unseen: dict[str, Unseen] = {}
        self.shipping_errors = 0
        self.queues: dict[str, Callable[[], int]] = {}
        self.model_queues: Callable[[], Mapping[str, int]] = dict
        self.shadow_rows: Callable[[], int] = int
        self.library_processes: Callable[[], int] = int
        self.library_replaced: dict[str, int] = {"ended": 0, "failed": 0, "hung": 0}
        self.unshipped: Callable[[], Mapping[str, Unshipped]] = dict
        self.spans_lost = 0
        self.callers: dict[str, defaultdict[int, int]] = {}

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

    def unseen(self, model: str) -> Unseen:
        """What is counted of the one model of this name."""
        with self._lock:
            return self._unseen.setdefault(model, Unseen())

    def collect(self) -> Iterator[Metric]:
        """The metrics, for the Prometheus client."""
        requests = CounterMetricFamily(
            "ml_assets_requests", "Answers given.", labels=(*_LABELS, "status")
        )
        rows = CounterMetricFamily("ml_assets_rows", "Rows predicted.", labels=_LABELS)
        latency = HistogramMetricFamily(
            "ml_assets_request_duration_seconds",
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
        yield from self._of_models()
        yield from self._of_plans()
        yield from self._of_log()
        yield from self._of_process()
        yield from self._of_callers()

    def _all(self) -> Iterable[Series]:
        with self._lock:
            return list(self._series.values())

    def _of_models(self) -> Iterator[Metric]:
        """Counters of a model, from 0 on for each that is served."""
        for name, text, counts in (
            ("plans_refused", "Plans that could not be loaded.", self.refusals),
            ("prediction_log_lost", "Predictions that were not logged.", self.lost),
            ("prediction_log_shipped_segments", "Segments shipped.", self.shipped),
            ("shadow_dropped", "Rows that no shadow scored.", self.shadow_dropped),
            ("labels", "Labels received as feedback.", self.labels),
        ):
            # A counter that appears with 1 would not be seen to rise.
            known = {model: 0 for model in self.plans.copy()} | counts.copy()
            counter = CounterMetricFamily(f"ml_assets_{name}", text, labels=["model"])
            for model, number in known.items():
                counter.add_metric([model], number)
            yield counter
        unseen = CounterMetricFamily(
            "ml_assets_unseen_categories",
            "Rows with a category that training did not see.",
            labels=["model", "column"],
        )
        for model, counted in self._unseen.copy().items():
            for column, number in counted.rows.copy().items():
                unseen.add_metric((model, column), number)
        yield unseen

    def _of_plans(self) -> Iterator[Metric]:
        generation = GaugeMetricFamily(
            "ml_assets_plan_generation", "Generation that is served.", labels=["model"]
        )
        created = GaugeMetricFamily(
            "ml_assets_plan_created_timestamp_seconds",
            "When the plan that is served was made.",
            labels=["model"],
        )
        share = GaugeMetricFamily(
            "ml_assets_arm_share",
            "Share of the traffic that a version answers.",
            labels=["model", "version", "arm", "runtime"],
        )
        trained = GaugeMetricFamily(
            "ml_assets_arm_trained_timestamp_seconds",
            "When a version that is served was trained.",
            labels=["model", "version", "arm"],
        )
        for model, plan in self.plans.copy().items():
            generation.add_metric([model], plan.generation)
            made_at = plan.made_at
            if made_at is not None:
                created.add_metric([model], made_at)
            for arm in plan.arms:
                labels = [model, arm.version, arm.mode]
                share.add_metric([*labels, arm.runtime], arm.share)
                at = trained_at(arm.version)
                if at is not None:
                    trained.add_metric(labels, at)
        yield from (generation, created, share, trained)

    def _of_log(self) -> Iterator[Metric]:
        lag = GaugeMetricFamily(
            "ml_assets_prediction_log_lag_seconds",
            "Age of the oldest record that is not in the storage yet.",
            labels=["model"],
        )
        size = GaugeMetricFamily(
            "ml_assets_prediction_log_unshipped_bytes",
            "What is on this disk alone.",
            labels=["model"],
        )
        for model, found in self.unshipped().items():
            lag.add_metric([model], found.seconds)
            size.add_metric([model], found.bytes)
        yield from (lag, size)
        yield CounterMetricFamily(
            "ml_assets_prediction_log_shipping_errors",
            "Attempts to ship segments that failed.",
            value=self.shipping_errors,
        )
        yield CounterMetricFamily(
            "ml_assets_spans_lost", "Spans no collector took.", value=self.spans_lost
        )

    def _of_callers(self) -> Iterator[Metric]:
        """None where no keys are needed."""
        if not self.callers:
            return
        counter = CounterMetricFamily(
            "ml_assets_caller_requests",
            "Answers given to a caller.",
            labels=["caller", "status"],
        )
        for caller, statuses in sorted(self.callers.copy().items()):
            for status, count in sorted(statuses.copy().items()):
                counter.add_metric([caller, str(status)], count)
        yield counter

    def _of_process(self) -> Iterator[Metric]:
        queues = GaugeMetricFamily(
            "ml_assets_queue_requests",
            "Requests that wait for a thread, or are in it.",
            labels=["executor"],
        )
        for executor, waiting in self.queues.items():
            queues.add_metric([executor], waiting())
        yield queues
        of_models = GaugeMetricFamily(
            "ml_assets_model_queue_requests",
            "Requests of a model that wait for a slow answer, or get it.",
            labels=["model"],
        )
        for model, number in self.model_queues().items():
            of_models.add_metric([model], number)
        yield of_models
        replaced = CounterMetricFamily(
            "ml_assets_library_processes_replaced",
            "Library processes that ended or hung, and were replaced.",
            labels=["reason"],
        )
        for reason, number in self.library_replaced.copy().items():
            replaced.add_metric([reason], number)
        yield replaced
        for name, text, value in (
            ("shadow_queue_rows", "Rows that wait for shadows.", self.shadow_rows()),
            (
                "library_processes",
                "Processes that answer for what is not compiled.",
                self.library_processes(),
            ),
            ("in_flight", "Requests being answered.", self.in_flight),
            ("connections", "Open connections.", self.connections),
            ("ready", "1 if every model is served.", int(self.ready)),
            (
                "storage_reachable",
                "1 if the storage answered when the plans were read last.",
                int(self.storage_reachable),
            ),
        ):
            yield GaugeMetricFamily(f"ml_assets_{name}", text, value=value)


def _cumulated(buckets: list[int]) -> list[tuple[str, float]]:
    bounds = [*map(str, SECONDS), "+Inf"]
    total, found = 0, []
    for bound, count in zip(bounds, buckets.copy(), strict=True):
        total += count
        found.append((bound, float(total)))
    return found
