"""Versions of each model: those in its active plan, and the newest ones."""

from collections.abc import Iterator

from prometheus_client.core import Metric

from ml_assets.observability.exporter.metric_families import GaugeFamily
from ml_assets.records.plan import ServingPlan, trained_at
from ml_assets.spec.gate import GateSpec
from ml_assets.state.versions import SPEC, UnknownVersionError, Versions

# Versions of a model that have series, beside those in its plan.
NEWEST = 5


class PlanMetrics:
    """The active plan of each model, and its gate; made anew at every poll."""

    def __init__(self) -> None:
        self._store = Versions()
        self._info = GaugeFamily(
            "ml_assets_model_info",
            "A version in the active plan.",
            ("model", "version", "role", "generation"),
        )
        self._at = GaugeFamily(
            "ml_assets_deployment_last_timestamp_seconds",
            "When the active plan was made.",
            ("model",),
        )
        self._threshold = GaugeFamily(
            "ml_assets_gate_threshold",
            "Threshold of the gate for the newest version.",
            ("model", "metric"),
        )

    def add(self, model: str, plan: ServingPlan | None) -> None:
        """Add the series of one model."""
        gate = self._gate(model)
        for metric, least in (gate.demands if gate else {}).items():
            self._threshold.set(model, metric, value=least)
        if plan is None:
            return
        for arm in plan.arms:
            generation = str(plan.generation)
            self._info.set(model, arm.version, arm.mode, generation, value=1.0)
        if plan.made_at is not None:
            self._at.set(model, value=plan.made_at)

    def metrics(self) -> Iterator[Metric]:
        """The families."""
        for family in (self._info, self._at, self._threshold):
            yield family.metric()

    def _gate(self, model: str) -> GateSpec | None:
        """The gate in the configuration of the newest version."""
        for name in self._store.latest(model):
            spec = self._store.document(model, name, SPEC)
            if spec is not None:
                return GateSpec.model_validate(spec.get("gate", {}))
        return None


class VersionMetrics:
    """Training and evaluation of versions; made anew at every poll."""

    def __init__(self) -> None:
        labels = ("model", "version")
        self._store = Versions()
        self._trained = GaugeFamily(
            "ml_assets_version_trained_timestamp_seconds",
            "When a version was trained.",
            labels,
        )
        self._metric = GaugeFamily(
            "ml_assets_version_metric",
            "A metric of the evaluation on held-out rows.",
            (*labels, "metric"),
        )
        self._fit = GaugeFamily(
            "ml_assets_version_fit_duration_seconds", "Duration of fitting.", labels
        )
        self._rows = GaugeFamily(
            "ml_assets_version_rows",
            "Rows of the training and of the test set.",
            (*labels, "part"),
        )

    def add(self, model: str, plan: ServingPlan | None) -> None:
        """Add the series of the newest versions, and of those in the plan."""
        names = {*self._store.latest(model, NEWEST)}
        names |= {arm.version for arm in plan.arms} if plan else set()
        for version in sorted(names):
            self._add_version(model, version)

    def metrics(self) -> Iterator[Metric]:
        """The families."""
        for family in (self._trained, self._metric, self._fit, self._rows):
            yield family.metric()

    def _add_version(self, model: str, version: str) -> None:
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
