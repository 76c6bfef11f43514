"""What the exporter tells of announcements."""

from pathlib import Path

from ml_assets.observability.exporter.families import Folded
from ml_assets.observability.exporter.notifications import announcements
from ml_assets.observability.notifications.messages import Announcement
from ml_assets.observability.notifications.notifier import Notifier
from ml_assets.observability.notifications.slack import Slack
from ml_assets_tests.kits.slack import slack_double


def test_attempts_are_told_and_every_series_begins_at_zero(tmp_path: Path) -> None:
    with slack_double() as slack:
        notifier = Notifier(tmp_path, Slack(slack.url))
        notifier.announce(Announcement("k", "drift", 0.0, "churn drifts", ""))
    values = {
        (sample.labels["kind"], sample.labels["result"]): sample.value
        for sample in announcements(tmp_path, Folded()).samples
    }
    assert values.pop(("drift", "delivered")) == 1
    assert values[("release", "refused")] == 0
    assert set(values.values()) == {0}
