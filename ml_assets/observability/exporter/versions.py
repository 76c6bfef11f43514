"""Versions of each model: those in its active plan, and the newest ones."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from prometheus_client.core import Metric

from ml_assets.observability.exporter.metric_families import GaugeFamily
from ml_assets.records.plan import ServingPlan, trained_at
from ml_assets.records.version import VersionRecord
from ml_assets.spec.gate import GateSpec
from ml_assets.state.versions import SPEC, Versions

# Versions of a model that have series, beside those in its plan.
NEWEST = 5


class Configuration(NamedTuple):
    """What series need of a model's configuration."""

    gate: GateSpec
    scales_to_zero: bool


class Configurations:
    """The configuration of each model's newest version.

    One that was read is not read again: it never changes.
    """

    def __init__(self) -> None:
        self._store = Versions()
        self._read: dict[tuple[str, str], Configuration | None] = {}

    def of(self, newest: Mapping[str, str]) -> dict[str, Configuration]:
        """Model to configuration, by each model's newest version."""
        self._read = {
            name: self._read[name] if name in self._read else self._load(*name)
            for name in newest.items()
        }
        return {model: found for (model, _), found in self._read.items() if found}

    def _load(self, model: str, version: str) -> Configuration | None:
        spec = self._store.document(model, version, SPEC)
        if spec is None:
            return None
        scales_to_zero = bool(spec.get("serving", {}).get("scale_to_zero", False))
        return Configuration(
            GateSpec.model_validate(spec.get("gate", {})), scales_to_zero
        )


class PlanMetrics:
    """The active plan of each model, and its gate; made anew at every poll."""

    def __init__(self) -> None:
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
        self._to_zero = GaugeFamily(
            "ml_assets_model_scales_to_zero",
            "1 if the model may have no server, by its newest version.",
            ("model",),
        )

    def add(
        self, model: str, plan: ServingPlan | None, found: Configuration | None
    ) -> None:
        """Add the series of one model."""
        if found is not None:
            for metric, least in found.gate.demands.items():
                self._threshold.set(model, metric, value=least)
            self._to_zero.set(model, value=float(found.scales_to_zero))
        if plan is None:
            return
        for arm in plan.arms:
            generation = str(plan.generation)
            self._info.set(model, arm.version, arm.mode, generation, value=1.0)
        if plan.made_at is not None:
            self._at.set(model, value=plan.made_at)

    def metrics(self) -> Iterator[Metric]:
        """The families."""
        for family in (self._info, self._at, self._threshold, self._to_zero):
            yield family.metric()


class VersionMetrics:
    """Training and evaluation of versions; made anew at every poll."""

    def __init__(self) -> None:
        labels = ("model", "version")
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

    def add(self, record: VersionRecord, evaluation: Mapping[str, Any] | None) -> None:
        """Add the series of one version."""
        about = record.model, record.version
        moment = trained_at(record.version)
        if moment is not None:
            self._trained.set(*about, value=moment)
        self._fit.set(*about, value=record.fit_seconds)
        for part, rows in (("train", record.train_rows), ("test", record.test_rows)):
            self._rows.set(*about, part, value=rows)
        for name, value in (evaluation or {}).get("metrics", {}).items():
            if isinstance(value, int | float):
                self._metric.set(*about, name, value=float(value))

    def metrics(self) -> Iterator[Metric]:
        """The families."""
        for family in (self._trained, self._metric, self._fit, self._rows):
            yield family.metric()
