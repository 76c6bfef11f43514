"""Metric families whose series are kept here, and rendered for each scrape.

A counter or histogram holds as many series as `FoldedSeries` is made with. Label values
come from definitions, so that the limit is not reached in practice; where an
event log is full of generated names, further ones are folded into one series, which
goes on counting. A metric for each family, an alert on it and one line in the log
report that.

A gauge has a series for everything that exists, however much that is: two numbers do
not fold into one, and one that is left out looks like a thing that is gone.
"""

import logging
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

# A thousand models have some 24,000 of the largest family, their ticks by outcome.
LIMIT = 100_000
OTHER = "other"
Labels = tuple[str, ...]

logger = logging.getLogger("ml_assets.exporter")


class FoldedSeries:
    """How many samples were counted as `OTHER`, by family.

    Parameters
    ----------
    limit : int, default=100000
        Series of one counter or histogram.
    """

    def __init__(self, limit: int = LIMIT) -> None:
        self.limit = limit
        self.counts: dict[str, int] = {}

    def add(self, family: str) -> None:
        """Count one; the first of a family is logged."""
        if family not in self.counts:
            logger.warning(
                "%s has %s series, and further ones are counted as %r:"
                " ml_assets_exporter_series_folded_total has their number",
                *(family, self.limit, OTHER),
            )
        self.counts[family] = self.counts.get(family, 0) + 1


class CounterFamily:
    """A counter, whose name ends in ``_total``."""

    def __init__(
        self, name: str, text: str, labels: Iterable[str], folded: FoldedSeries
    ):
        self.name, self._text, self._labels = name, text, tuple(labels)
        self._values: dict[Labels, float] = {}
        self._folded = folded

    def add(self, *labels: str, n: float = 1.0) -> None:
        """Count `n` more; 0 makes the series exist, so that its first rise is seen."""
        if labels not in self._values and len(self._values) >= self._folded.limit:
            self._folded.add(self.name)
            labels = (OTHER,) * len(labels)
        self._values[labels] = self._values.get(labels, 0.0) + n

    def metric(self) -> Metric:
        """The family with its samples, as Prometheus' client renders it."""
        family = CounterMetricFamily(
            self.name.removesuffix("_total"), self._text, labels=self._labels
        )
        for labels, value in self._values.items():
            family.add_metric(labels, value)
        return family


class GaugeFamily:
    """A gauge."""

    def __init__(self, name: str, text: str, labels: Iterable[str] = ()):
        self.name, self._text, self._labels = name, text, tuple(labels)
        self._values: dict[Labels, float] = {}

    def set(self, *labels: str, value: float) -> None:
        """Set one number."""
        self._values[labels] = value

    def raise_to(self, *labels: str, value: float) -> None:
        """Set one number, unless it is higher."""
        self.set(*labels, value=max(value, self._values.get(labels, value)))

    def get(self, *labels: str) -> float | None:
        """One number."""
        return self._values.get(labels)

    def metric(self) -> Metric:
        """The family with its samples, as Prometheus' client renders it."""
        family = GaugeMetricFamily(self.name, self._text, labels=self._labels)
        for labels, value in self._values.items():
            family.add_metric(labels, value)
        return family


class HistogramFamily:
    """A histogram of seconds.

    Sums are whole microseconds: the order in which values come must not show in the
    last digit. Prometheus would take one that a restart lowered for a counter that
    began anew.
    """

    def __init__(
        self,
        name: str,
        text: str,
        labels: Iterable[str],
        bounds: Sequence[float],
        folded: FoldedSeries,
    ):
        self.name, self._text, self._labels = name, text, tuple(labels)
        self._bounds = tuple(bounds)
        self._buckets: dict[Labels, list[int]] = {}
        self._microseconds: dict[Labels, int] = {}
        self._folded = folded

    def observe(self, *labels: str, value: float) -> None:
        """Count one value."""
        if labels not in self._buckets and len(self._buckets) >= self._folded.limit:
            self._folded.add(self.name)
            labels = (OTHER,) * len(labels)
        if labels not in self._buckets:
            self._buckets[labels] = [0] * (len(self._bounds) + 1)
            self._microseconds[labels] = 0
        self._buckets[labels][bisect_left(self._bounds, value)] += 1
        self._microseconds[labels] += round(1e6 * value)

    def metric(self) -> Metric:
        """The family with its samples, as Prometheus' client renders it."""
        family = HistogramMetricFamily(self.name, self._text, labels=self._labels)
        for labels, buckets in self._buckets.items():
            seconds = self._microseconds[labels] / 1e6
            family.add_metric(labels, list(self._cumulated(buckets)), seconds)
        return family

    def _cumulated(self, buckets: list[int]) -> Iterator[tuple[str, float]]:
        total = 0
        names = [*map(str, map(float, self._bounds)), "+Inf"]
        for name, count in zip(names, buckets, strict=True):
            total += count
            yield name, float(total)
