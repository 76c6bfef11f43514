"""Tells people of events, each at most once, and counts what came of it.

An event is claimed by a file that is created once, before anything is sent; a process
that dies in between leaves the claim, and the event is not told again. The claim is
given back only where it is certain that nothing arrived.
"""

import hashlib
import time
from pathlib import Path
from typing import Any

from ml_assets.core.storage import create_bytes, locked, read_json, write_json
from ml_assets.observability.notifications.messages import (
    Announcement,
    message,
    ui_address,
)
from ml_assets.observability.notifications.slack import Outcome, Slack

# Nobody tells of what is older than a day.
KEPT_SECONDS = 7 * 86_400.0


class Notifier:
    """What was told, under the storage directory `root`."""

    def __init__(self, root: Path, channel: Slack) -> None:
        self.directory = root / "notifications"
        self.channel = channel

    def announce(self, event: Announcement) -> Outcome | None:
        """Tell of `event`; None where somebody did, or is about to."""
        claim = self._claim(event)
        if not create_bytes(claim, f"{event.key}\n".encode()):
            return None
        outcome = self.channel.send(message(event, ui_address()))
        if outcome.result == "undelivered":
            claim.unlink()
        self._count(event, outcome)
        return outcome

    def is_told(self, event: Announcement) -> bool:
        """Whether the event was claimed."""
        return self._claim(event).exists()

    def forget(self, now: float | None = None) -> int:
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

    def _claim(self, event: Announcement) -> Path:
        name = hashlib.sha256(event.key.encode()).hexdigest()[:32]
        return self.directory / "claims" / name

    def _count(self, event: Announcement, outcome: Outcome) -> None:
        path = counts_path(self.directory.parent)
        with locked(path.with_suffix(".lock")):
            counts = read_counts(self.directory.parent)
            of_kind = counts.setdefault(event.kind, {})
            of_kind[outcome.result] = of_kind.get(outcome.result, 0) + 1
            write_json(path, counts)


def counts_path(root: Path) -> Path:
    """File with the number of attempts by kind of event and result."""
    return root / "notifications" / "counts.json"


def read_counts(root: Path) -> dict[str, dict[str, int]]:
    """Attempts since the beginning: kind of event to result to number.

    Results are ``delivered``, ``undelivered`` (it is tried again), ``refused`` and
    ``unknown`` (it is not).
    """
    counts: Any = read_json(counts_path(root))
    return counts or {}
