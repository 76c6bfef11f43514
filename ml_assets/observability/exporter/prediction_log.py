"""Predictions that were lost with the disk of a server."""

from collections import Counter

from prometheus_client.core import Metric

from ml_assets.core.storage import storage
from ml_assets.observability.exporter.metric_families import GaugeFamily
from ml_assets.prediction_log.unshipped import missing
from ml_assets.state.batches import Batches


def missing_segments() -> Metric:
    """Segments that a silent server had on its disk, and that are nowhere else."""
    gauge = GaugeFamily(
        "ml_assets_prediction_log_missing_segments",
        "Segments that a dead or cut-off server did not ship.",
        ("model",),
    )
    counts: Counter[str] = Counter()
    for found in missing(storage()):
        # Asked after the storage: one that is compacted meanwhile is in a file.
        compacted = Batches().compacted(found.model, found.kind, found.segments)
        counts[found.model] += len({*found.segments} - compacted)
    for model, count in sorted((+counts).items()):
        gauge.set(model, value=count)
    return gauge.metric()
