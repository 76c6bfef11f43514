"""The storage: plans, versions, ledgers, drift reports and sent notifications."""

import threading
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, get_args

from prometheus_client.core import Metric

from ml_assets.core.files import read_json
from ml_assets.observability.exporter.ledgers import LedgerMetrics
from ml_assets.observability.exporter.metric_families import (
    CounterFamily,
    FoldedSeries,
    GaugeFamily,
)
from ml_assets.observability.exporter.versions import PlanMetrics, VersionMetrics
from ml_assets.observability.notifications.messages import Kind
from ml_assets.observability.notifications.notifier import read_counts
from ml_assets.observability.notifications.slack import Result
from ml_assets.serving.models.plan_store import PlanStore
from ml_assets.spec.reserved import RELEASE
from ml_assets.state.ledger import Ledger
from ml_assets.state.versions import Versions

DRIFT_SOURCES = ("predictions", "raw")
# Columns of a drift report that have a series each.
MOST_COLUMNS = 100


class StorageSource:
    """Polls the storage directory `root`."""

    name = "storage"

    def __init__(self, root: Path, folded: FoldedSeries) -> None:
        self._root = root
        self._ledgers = LedgerMetrics(folded)
        self._drift = DriftMetrics(root)
        self._folded = folded

    def poll(self, stop: threading.Event) -> Sequence[Metric]:
        """Read the records of every model."""
        if not self._root.is_dir():
            raise FileNotFoundError(f"there is no storage at {self._root}")
        models = self._models()
        plans, versions = PlanMetrics(self._root), VersionMetrics(self._root)
        for model in models:
            plan = PlanStore(self._root).current(model)
            plans.add(model, plan)
            versions.add(model, plan)
        families = (
            plans.metrics(),
            versions.metrics(),
            self._ledgers.metrics(models),
            self._drift.metrics(models),
            [notification_counts(self._root, self._folded)],
        )
        return list(chain.from_iterable(families))

    def _models(self) -> list[str]:
        """Every model with a plan, a version or a ledger."""
        planned, trained = PlanStore(self._root), Versions()
        found = {*planned.models(), *trained.models(), *Ledger().models()}
        return sorted(found - {RELEASE})


class DriftMetrics:
    """The newest drift report of each model and source.

    A report of ``reports/<model>/drift`` that was read is not read again.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._read: dict[Path, dict[str, Any]] = {}

    def metrics(self, models: list[str]) -> Iterator[Metric]:
        """The families."""
        labels = ("model", "source")
        detected = GaugeFamily(
            "ml_assets_drift_detected", "1 if the last report found drift.", labels
        )
        number = GaugeFamily("ml_assets_drift_columns", "Columns with drift.", labels)
        each = GaugeFamily(
            "ml_assets_drift_psi", "PSI of a column.", (*labels, "column")
        )
        most = GaugeFamily("ml_assets_drift_max_psi", "The largest PSI.", labels)
        at = GaugeFamily(
            "ml_assets_drift_report_timestamp_seconds",
            "When the last report was made.",
            labels,
        )
        found = {
            (model, source): path
            for model in models
            for source, path in self._newest(model)
        }
        self._read = {
            path: self._read.get(path) or read_json(path) or {}
            for path, _ in found.values()
        }
        for (model, source), (path, moment) in found.items():
            report = self._read[path]
            columns = report.get("columns", [])
            detected.set(model, source, value=float(bool(report.get("drifted"))))
            number.set(model, source, value=sum(c["drifted"] for c in columns))
            at.set(model, source, value=moment)
            columns.sort(key=lambda column: -column["psi"])
            for column in columns[:1]:
                most.set(model, source, value=column["psi"])
            for column in columns[:MOST_COLUMNS]:
                each.set(model, source, column["column"], value=column["psi"])
        for family in (detected, number, each, most, at):
            yield family.metric()

    def _newest(self, model: str) -> Iterator[tuple[str, tuple[Path, float]]]:
        """The last report on predictions and on raw data, and when it was made."""
        directory = self._root / "reports" / model / "drift"
        for source in DRIFT_SOURCES:
            reports = [
                (path.stat().st_mtime, path)
                for path in directory.glob(f"{source}-*.json")
            ]
            if reports:
                moment, path = max(reports)
                yield source, (path, moment)


def notification_counts(root: Path, folded: FoldedSeries) -> Metric:
    """Attempts to send a notification, as the sensor counted them."""
    counter = CounterFamily(
        "ml_assets_notifications_total",
        "Attempts to send a notification to Slack.",
        ("kind", "result"),
        folded,
    )
    counts = read_counts(root)
    for kind in get_args(Kind):
        for result in get_args(Result):
            counter.add(kind, result, n=counts.get(kind, {}).get(result, 0))
    return counter.metric()
