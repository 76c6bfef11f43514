"""What became of the announcements in Slack."""

from pathlib import Path
from typing import get_args

from prometheus_client.core import Metric

from ml_assets.observability.exporter.families import Counts, Folded
from ml_assets.observability.notifications.messages import Kind
from ml_assets.observability.notifications.notifier import read_counts
from ml_assets.observability.notifications.slack import Result


def announcements(root: Path, folded: Folded) -> Metric:
    """Attempts by kind of event and result, as the sensor counted them."""
    counts = Counts(
        "ml_assets_notifications_total",
        "Attempts to tell of events in Slack.",
        ("kind", "result"),
        folded,
    )
    known = read_counts(root)
    for kind in get_args(Kind):
        for result in get_args(Result):
            counts.add(kind, result, n=known.get(kind, {}).get(result, 0))
    return counts.metric()
