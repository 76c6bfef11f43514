"""The storage: plans, versions, ledgers, drift reports and sent notifications."""

import threading
from collections.abc import Sequence
from itertools import chain
from typing import get_args

from prometheus_client.core import Metric

from ml_assets.core.storage import storage
from ml_assets.observability.exporter.drift import DriftMetrics
from ml_assets.observability.exporter.ledger_tails import VERIFY_SECONDS
from ml_assets.observability.exporter.ledgers import LedgerMetrics
from ml_assets.observability.exporter.metric_families import (
    CounterFamily,
    FoldedSeries,
)
from ml_assets.observability.exporter.prediction_log import missing_segments
from ml_assets.observability.exporter.versions import (
    NEWEST,
    Configurations,
    PlanMetrics,
    VersionMetrics,
)
from ml_assets.observability.notifications.messages import Kind
from ml_assets.observability.notifications.notifier import read_counts
from ml_assets.observability.notifications.slack import Result
from ml_assets.spec.reserved import RELEASE
from ml_assets.state.ledger import Ledger
from ml_assets.state.plans import Plans
from ml_assets.state.versions import Versions


class StorageSource:
    """Polls the database of the state, and the storage."""

    name = "storage"

    def __init__(
        self,
        folded: FoldedSeries,
        verify_seconds: float = VERIFY_SECONDS,
    ) -> None:
        self._ledgers = LedgerMetrics(folded, verify_seconds)
        self._drift, self._configurations = DriftMetrics(), Configurations()
        self._folded = folded

    def poll(self, stop: threading.Event) -> Sequence[Metric]:
        """Read the records of every model."""
        root = storage().root
        # A bucket refuses by itself; a directory would be made anew.
        if root is not None and not root.is_dir():
            raise FileNotFoundError(f"there is no storage at {root}")
        active = Plans().active()
        plans, versions = PlanMetrics(), VersionMetrics()
        newest: dict[str, str] = {}
        served = {(m, arm.version) for m, plan in active.items() for arm in plan.arms}
        for record, evaluation in Versions().judged_of_all(NEWEST, served):
            versions.add(record, evaluation)
            last = newest.get(record.model, "")
            newest[record.model] = max(last, record.version)
        configurations = self._configurations.of(newest)
        models = sorted({*active, *newest, *Ledger().models()} - {RELEASE})
        for model in models:
            plans.add(model, active.get(model), configurations.get(model))
        families = (
            plans.metrics(),
            versions.metrics(),
            self._ledgers.metrics(models, stop),
            self._drift.metrics(),
            [notification_counts(self._folded), missing_segments()],
        )
        return list(chain.from_iterable(families))


def notification_counts(folded: FoldedSeries) -> Metric:
    """Attempts to send a notification, as the sensor counted them."""
    counter = CounterFamily(
        "ml_assets_notifications_total",
        "Attempts to send a notification to Slack.",
        ("kind", "result"),
        folded,
    )
    counts = read_counts()
    for kind in get_args(Kind):
        for result in get_args(Result):
            counter.add(kind, result, n=counts.get(kind, {}).get(result, 0))
    return counter.metric()
