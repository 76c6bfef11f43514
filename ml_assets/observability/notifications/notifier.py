"""Sends each notification at most once, and counts the outcomes.

Its row is committed before anything is sent; a process that dies in between leaves the
row, and nothing is sent again. It is removed only where it is certain that nothing
arrived.
"""

import time
from collections.abc import Sequence

from sqlalchemy import Connection, delete, select
from sqlalchemy.exc import IntegrityError

from ml_assets.observability.notifications.messages import (
    Notification,
    message,
    ui_address,
)
from ml_assets.observability.notifications.slack import Outcome, Slack
from ml_assets.state.engine import writing
from ml_assets.state.rows import present, read_rows, read_value
from ml_assets.state.schema import notification_counts as counts
from ml_assets.state.schema import notifications

# Of events that are older than a day nothing is sent.
KEPT_SECONDS = 7 * 86_400.0
_SUBJECT = "notifications"


class Notifier:
    """Sends to `channel`."""

    def __init__(self, channel: Slack) -> None:
        self.channel = channel

    def notify(self, notification: Notification) -> Outcome | None:
        """Send `notification` once; None where it was sent, or may have been."""
        row = {"key": notification.key, "claimed_at": time.time()}
        with writing(_SUBJECT) as connection:
            try:
                connection.execute(notifications.insert().values(row))
            except IntegrityError:
                return None
        outcome = self.channel.send(message(notification, ui_address()))
        with writing(_SUBJECT) as connection:
            if outcome.result == "undelivered":
                of_key = notifications.c.key == notification.key
                connection.execute(delete(notifications).where(of_key))
            _count(connection, notification.kind, outcome.result)
        return outcome

    def unsent(self, found: Sequence[Notification]) -> list[Notification]:
        """Those that were not sent, and that no other process is about to send."""
        known = present(notifications.c.key, [item.key for item in found])
        return [item for item in found if item.key not in known]

    def forget_old(self, now: float) -> int:
        """Remove what was sent more than a week before `now`, in Unix seconds."""
        is_old = notifications.c.claimed_at < now - KEPT_SECONDS
        if read_value(select(notifications.c.key).where(is_old).limit(1)) is None:
            return 0
        with writing(_SUBJECT) as connection:
            return connection.execute(delete(notifications).where(is_old)).rowcount


def _count(connection: Connection, kind: str, result: str) -> None:
    is_ours = (counts.c.kind == kind) & (counts.c.result == result)
    one_more = counts.update().where(is_ours).values(number=counts.c.number + 1)
    if not connection.execute(one_more).rowcount:
        row = {"kind": kind, "result": result, "number": 1}
        connection.execute(counts.insert().values(row))


def read_counts() -> dict[str, dict[str, int]]:
    """Attempts since the beginning: kind of notification to result to number.

    Results are ``delivered``, ``undelivered`` (it is tried again), ``refused`` and
    ``unknown`` (it is not).
    """
    found: dict[str, dict[str, int]] = {}
    for row in read_rows(select(counts)):
        found.setdefault(row.kind, {})[row.result] = row.number
    return found
