"""Materializations and check results, and what those of models record.

The gate's verdicts are checks of ``<model>/evaluation``; live metrics are metadata of
``<model>/performance``.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from dagster import DagsterEventType, EventLogEntry
from prometheus_client.core import Metric

from ml_assets.observability.exporter.ci import CiMetrics
from ml_assets.observability.exporter.metric_families import (
    CounterFamily,
    FoldedSeries,
    GaugeFamily,
)
from ml_assets.spec.metrics import METRICS

ROWS, BYTES = "dagster/row_count", "size_bytes"
EVALUATION, GATE = "evaluation", "gate"
VERDICTS = {True: "passed", False: "failed"}
PERFORMANCE = "performance"
LIVE_METRICS = (*METRICS, "coverage")


class AssetMetrics:
    """Materializations of each asset, with their sizes, and live metrics of models."""

    KINDS = (DagsterEventType.ASSET_MATERIALIZATION,)

    def __init__(self, folded: FoldedSeries) -> None:
        labels = ("asset",)
        self._count = CounterFamily(
            "ml_assets_dagster_materializations_total",
            "Materializations.",
            labels,
            folded,
        )
        self._last = GaugeFamily(
            "ml_assets_dagster_asset_last_materialization_timestamp_seconds",
            "When an asset was last materialized.",
            labels,
        )
        self._rows = GaugeFamily(
            "ml_assets_dagster_asset_rows",
            "Rows of the last materialization.",
            labels,
        )
        self._bytes = GaugeFamily(
            "ml_assets_dagster_asset_bytes",
            "Bytes of the last materialization.",
            labels,
        )
        self._live = LiveMetrics()
        self._ci = CiMetrics()

    def count(self, events: Sequence[EventLogEntry]) -> None:
        """Count materializations."""
        for event in events:
            found = event.asset_materialization
            if found is None:
                continue
            asset = found.asset_key.to_user_string()
            self._count.add(asset)
            last = self._last.get(asset)
            if last is not None and event.timestamp < last:
                continue
            self._last.set(asset, value=event.timestamp)
            metadata = {name: item.value for name, item in found.metadata.items()}
            for name, family in ((ROWS, self._rows), (BYTES, self._bytes)):
                value = metadata.get(name)
                if isinstance(value, int | float):
                    family.set(asset, value=float(value))
            self._live.update(found.asset_key.path, metadata, event.timestamp)
            self._ci.update(found.asset_key.path, metadata)

    def metrics(self) -> Iterator[Metric]:
        """The families."""
        for family in (self._count, self._last, self._rows, self._bytes):
            yield family.metric()
        yield from self._live.metrics()
        yield from self._ci.metrics()


class LivePerformance(NamedTuple):
    """Metadata of the last ``<model>/performance``, and when it was materialized."""

    at: float
    version: str
    metadata: dict[str, Any]


class LiveMetrics:
    """The newest live metrics of each model."""

    def __init__(self) -> None:
        self._newest: dict[str, LivePerformance] = {}

    def update(self, path: Sequence[str], metadata: dict[str, Any], at: float) -> None:
        """Keep the metadata of an asset, if it is a model's performance."""
        if len(path) != 2 or path[1] != PERFORMANCE:
            return
        # One that a person reported by hand has no metrics.
        if {"version", "degraded"} <= metadata.keys():
            version = str(metadata["version"])
            self._newest[path[0]] = LivePerformance(at, version, metadata)

    def metrics(self) -> Iterator[Metric]:
        """The families."""
        labels = ("model", "version", "metric")
        live = GaugeFamily(
            "ml_assets_live_metric", "Metrics of the champion by its labels.", labels
        )
        offline = GaugeFamily(
            "ml_assets_live_offline_metric",
            "The same metrics of the champion's evaluation.",
            labels,
        )
        degraded = GaugeFamily(
            "ml_assets_live_degraded",
            "1 if the live metrics are worse than those of the evaluation.",
            ["model"],
        )
        joined = GaugeFamily(
            "ml_assets_live_labels", "Labels joined to a prediction.", ["model"]
        )
        computed = GaugeFamily(
            "ml_assets_live_timestamp_seconds",
            "When the live metrics were computed.",
            ["model"],
        )
        for model, found in self._newest.items():
            for name in LIVE_METRICS:
                for family, key in ((live, name), (offline, f"offline_{name}")):
                    value = found.metadata.get(key)
                    if isinstance(value, int | float) and not math.isnan(value):
                        family.set(model, found.version, name, value=float(value))
            degraded.set(model, value=float(bool(found.metadata["degraded"])))
            joined.set(model, value=float(found.metadata.get("joined", 0)))
            computed.set(model, value=found.at)
        for family in (live, offline, degraded, joined, computed):
            yield family.metric()


class CheckMetrics:
    """Results of asset checks, and the gate's verdicts among them."""

    KINDS = (DagsterEventType.ASSET_CHECK_EVALUATION,)

    def __init__(self, folded: FoldedSeries) -> None:
        labels = ("asset", "check")
        self._results = CounterFamily(
            "ml_assets_dagster_check_results_total",
            "Results of asset checks.",
            (*labels, "severity", "passed"),
            folded,
        )
        self._passed = GaugeFamily(
            "ml_assets_dagster_check_passed",
            "1 if a check passed when it was last executed.",
            labels,
        )
        self._last = GaugeFamily(
            "ml_assets_dagster_check_last_timestamp_seconds",
            "When a check was last executed.",
            labels,
        )
        self._verdicts = CounterFamily(
            "ml_assets_gate_verdicts_total",
            "Versions that passed the gate of their model, and that did not.",
            ("model", "verdict"),
            folded,
        )

    def count(self, events: Sequence[EventLogEntry]) -> None:
        """Count results."""
        for event in events:
            if event.dagster_event is None:
                continue
            found = event.dagster_event.asset_check_evaluation_data
            asset, check = found.asset_key.to_user_string(), found.check_name
            severity = found.severity.value.lower()
            for passed in (True, False):
                n = int(passed == found.passed)
                self._results.add(asset, check, severity, str(passed).lower(), n=n)
            last = self._last.get(asset, check)
            if last is None or event.timestamp >= last:
                self._last.set(asset, check, value=event.timestamp)
                self._passed.set(asset, check, value=float(found.passed))
            self._count_verdict(found.asset_key.path, check, found.passed)

    def metrics(self) -> Iterator[Metric]:
        """The families."""
        for family in (self._results, self._passed, self._last, self._verdicts):
            yield family.metric()

    def _count_verdict(self, path: Sequence[str], check: str, passed: bool) -> None:
        if check == GATE and len(path) == 2 and path[1] == EVALUATION:
            for verdict, name in VERDICTS.items():
                self._verdicts.add(path[0], name, n=int(verdict == passed))
