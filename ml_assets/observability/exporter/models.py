"""What the storage says of models: plans, versions, ledgers, drift and releases."""

import threading
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

from prometheus_client.core import Metric

from ml_assets.observability.exporter.drift import DriftMetrics
from ml_assets.observability.exporter.families import Folded
from ml_assets.observability.exporter.ledgers import LedgerMetrics
from ml_assets.observability.exporter.notifications import announcements
from ml_assets.observability.exporter.plans import PlanMetrics
from ml_assets.observability.exporter.versions import VersionMetrics
from ml_assets.serving.models.plan_store import PlanStore
from ml_assets.spec.reserved import RELEASE
from ml_assets.state.versions import VersionStore


class Models:
    """Follows the storage directory `root`."""

    source = "storage"

    def __init__(self, root: Path, folded: Folded) -> None:
        self._root = root
        self._ledgers = LedgerMetrics(root, folded)
        self._drift = DriftMetrics(root)
        self._folded = folded

    def look(self, stop: threading.Event) -> Sequence[Metric]:
        """Read what there is of every model."""
        if not self._root.is_dir():
            raise FileNotFoundError(f"there is no storage at {self._root}")
        models = self._names()
        plans, versions = PlanMetrics(self._root), VersionMetrics(self._root)
        for model in models:
            plan = PlanStore(self._root).current(model)
            plans.take(model, plan)
            versions.take(model, plan)
        tables = (
            plans.metrics(),
            versions.metrics(),
            self._ledgers.metrics(models),
            self._drift.metrics(models),
            [announcements(self._root, self._folded)],
        )
        return list(chain.from_iterable(tables))

    def _names(self) -> list[str]:
        """Every model that something is kept of."""
        return sorted({*self._found()} - {RELEASE})

    def _found(self) -> Iterator[str]:
        yield from PlanStore(self._root).models()
        yield from VersionStore(self._root).models()
        for path in (self._root / "ledger").glob("*.jsonl"):
            yield path.stem
