"""Each notification is sent at most once, and every attempt is counted."""

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from ml_assets.observability.notifications.messages import Notification, message
from ml_assets.observability.notifications.notifier import Notifier, read_counts
from ml_assets.observability.notifications.slack import Slack
from ml_assets_tests.kits.slack import SlackDouble, slack_double

NOTIFICATION = Notification("drift:churn:1", "drift", 1.0, "churn drifts", "age moved")


@pytest.fixture
def double() -> Iterator[SlackDouble]:
    with slack_double() as running:
        yield running


@pytest.fixture
def notifier(double: SlackDouble, tmp_path: Path) -> Notifier:
    return Notifier(tmp_path, Slack(double.url, timeout=0.3))


def test_a_notification_is_sent_once(notifier: Notifier, double: SlackDouble) -> None:
    first = notifier.notify(NOTIFICATION)
    assert first is not None and first.result == "delivered"
    assert notifier.notify(NOTIFICATION) is None
    assert double.texts == [message(NOTIFICATION)["text"]]


def test_of_many_at_once_one_sends(notifier: Notifier, double: SlackDouble) -> None:
    threads = [
        threading.Thread(target=notifier.notify, args=[NOTIFICATION]) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(double.received) == 1


@pytest.mark.parametrize(
    "answer, attempts",
    [(429, 2), (500, 2), (403, 1), ("cut", 1), ("hang", 1)],
)
def test_only_what_certainly_did_not_arrive_is_sent_again(
    notifier: Notifier, double: SlackDouble, answer: int | str, attempts: int
) -> None:
    double.answer = answer
    notifier.notify(NOTIFICATION)
    double.answer = 200
    notifier.notify(NOTIFICATION)
    assert len(double.received) == attempts


def test_attempts_are_counted_by_kind_and_result(
    notifier: Notifier, double: SlackDouble, tmp_path: Path
) -> None:
    for answer in (500, 500, 200):
        double.answer = answer
        notifier.notify(NOTIFICATION)
    double.answer = 403
    notifier.notify(NOTIFICATION._replace(key="r", kind="release"))
    assert read_counts(tmp_path) == {
        "drift": {"undelivered": 2, "delivered": 1},
        "release": {"refused": 1},
    }


def test_without_a_message_nothing_is_counted(tmp_path: Path) -> None:
    assert read_counts(tmp_path) == {}


def test_old_claims_are_removed(notifier: Notifier, tmp_path: Path) -> None:
    notifier.notify(NOTIFICATION)
    (claim,) = (tmp_path / "notifications" / "claims").iterdir()
    assert notifier.remove_old_claims() == 0
    os.utime(claim, (0, 0))
    assert notifier.remove_old_claims() == 1
    assert not claim.exists()
