"""The newest versions of each model: when, on what and how well they were trained."""

from collections.abc import Iterator
from pathlib import Path

from prometheus_client.core import Metric

from ml_assets.observability.exporter.families import Gauges
from ml_assets.records.plan import ServingPlan, trained_at
from ml_assets.state.versions import UnknownVersionError, VersionStore

# Versions of a model that are told of, beside those that serve.
NEWEST = 5


class VersionMetrics:
    """Figures of training and evaluation; made anew with every look."""

    def __init__(self, root: Path) -> None:
        labels = ("model", "version")
        self._store = VersionStore(root)
        self._trained = Gauges(
            "ml_assets_version_trained_timestamp_seconds",
            "When a version was trained.",
            labels,
        )
        self._metric = Gauges(
            "ml_assets_version_metric",
            "A figure of evaluation on held-out rows.",
            (*labels, "metric"),
        )
        self._fit = Gauges(
            "ml_assets_version_fit_duration_seconds", "How long fitting took.", labels
        )
        self._rows = Gauges(
            "ml_assets_version_rows",
            "Rows that a version learnt from, and was tried on.",
            (*labels, "part"),
        )

    def take(self, model: str, plan: ServingPlan | None) -> None:
        """Tell of the newest versions, and of those in the plan."""
        names = {*self._store.names(model)[-NEWEST:]}
        names |= {arm.version for arm in plan.arms} if plan else set()
        for version in sorted(names):
            self._take_version(model, version)

    def metrics(self) -> Iterator[Metric]:
        """The families."""
        for table in (self._trained, self._metric, self._fit, self._rows):
            yield table.metric()

    def _take_version(self, model: str, version: str) -> None:
        try:
            record = self._store.get(model, version)
        except UnknownVersionError:
            # Retention removed it in between.
            return
        moment = trained_at(version)
        if moment is not None:
            self._trained.set(model, version, value=moment)
        self._fit.set(model, version, value=record.fit_seconds)
        for part, rows in (("train", record.train_rows), ("test", record.test_rows)):
            self._rows.set(model, version, part, value=rows)
        found = self._store.evaluation(model, version) or {}
        for name, value in found.get("metrics", {}).items():
            if isinstance(value, int | float):
                self._metric.set(model, version, name, value=float(value))
