"""Sends each notification at most once, and counts the outcomes.

It is claimed by a file that is created once, before anything is sent; a process that
dies in between leaves the claim, and nothing is sent again. The claim is removed only
where it is certain that nothing arrived.
"""

import hashlib
import time
from pathlib import Path
from typing import Any

from ml_assets.core.files import create_bytes, locked, read_json, write_json
from ml_assets.observability.notifications.messages import (
    Notification,
    message,
    ui_address,
)
from ml_assets.observability.notifications.slack import Outcome, Slack

# Of events that are older than a day nothing is sent.
KEPT_SECONDS = 7 * 86_400.0


class Notifier:
    """Sends to `channel`; claims and counts are in the storage directory `root`."""

    def __init__(self, root: Path, channel: Slack) -> None:
        self.directory = root / "notifications"
        self.channel = channel

    def notify(self, notification: Notification) -> Outcome | None:
        """Send `notification` once; None where it is claimed already."""
        claim = self._claim(notification)
        if not create_bytes(claim, f"{notification.key}\n".encode()):
            return None
        outcome = self.channel.send(message(notification, ui_address()))
        if outcome.result == "undelivered":
            claim.unlink()
        self._count(notification, outcome)
        return outcome

    def is_claimed(self, notification: Notification) -> bool:
        """Whether it was sent, or another process is about to."""
        return self._claim(notification).exists()

    def remove_old_claims(self, now: float | None = None) -> int:
        """Remove claims that are older than a week; return how many."""
        oldest = (time.time() if now is None else now) - KEPT_SECONDS
        found = [
            path
            for path in self.directory.glob("claims/*")
            if path.stat().st_mtime < oldest
        ]
        for path in found:
            path.unlink(missing_ok=True)
        return len(found)

    def _claim(self, notification: Notification) -> Path:
        name = hashlib.sha256(notification.key.encode()).hexdigest()[:32]
        return self.directory / "claims" / name

    def _count(self, notification: Notification, outcome: Outcome) -> None:
        path = counts_path(self.directory.parent)
        with locked(path.with_suffix(".lock")):
            counts = read_counts(self.directory.parent)
            of_kind = counts.setdefault(notification.kind, {})
            of_kind[outcome.result] = of_kind.get(outcome.result, 0) + 1
            write_json(path, counts)


def counts_path(root: Path) -> Path:
    """File with the number of attempts by kind of notification and result."""
    return root / "notifications" / "counts.json"


def read_counts(root: Path) -> dict[str, dict[str, int]]:
    """Attempts since the beginning: kind of notification to result to number.

    Results are ``delivered``, ``undelivered`` (it is tried again), ``refused`` and
    ``unknown`` (it is not).
    """
    counts: Any = read_json(counts_path(root))
    return counts or {}
