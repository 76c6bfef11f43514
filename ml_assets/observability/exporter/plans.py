"""The active plan of each model, and what its gate asks for."""

from collections.abc import Iterator
from pathlib import Path

from prometheus_client.core import Metric

from ml_assets.core.storage import read_json
from ml_assets.observability.exporter.families import Gauges
from ml_assets.records.plan import ServingPlan
from ml_assets.spec.gate import GateSpec
from ml_assets.state.versions import VersionStore


class PlanMetrics:
    """What is active; made anew with every look."""

    def __init__(self, root: Path) -> None:
        self._versions = VersionStore(root)
        self._info = Gauges(
            "ml_assets_model_info",
            "A version in the plan that is active.",
            ("model", "version", "role", "generation"),
        )
        self._at = Gauges(
            "ml_assets_deployment_last_timestamp_seconds",
            "When the active plan was made.",
            ("model",),
        )
        self._threshold = Gauges(
            "ml_assets_gate_threshold",
            "What the gate asked the newest version for.",
            ("model", "metric"),
        )

    def take(self, model: str, plan: ServingPlan | None) -> None:
        """Tell of one model."""
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
        for table in (self._info, self._at, self._threshold):
            yield table.metric()

    def _gate(self, model: str) -> GateSpec | None:
        """The gate in the configuration of the newest version."""
        for name in self._versions.names(model)[-1:]:
            spec = read_json(self._versions.directory(model, name) / "spec.json")
            if spec is not None:
                return GateSpec.model_validate(spec.get("gate", {}))
        return None
