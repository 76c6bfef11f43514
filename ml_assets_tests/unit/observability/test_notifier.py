"""Each notification is sent at most once, and every attempt is counted."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ml_assets.observability.notifications.messages import Notification, message
from ml_assets.observability.notifications.notifier import (
    KEPT_SECONDS,
    Notifier,
    read_counts,
)
from ml_assets.observability.notifications.slack import Slack
from ml_assets.state.rows import PARAMETERS
from ml_assets_tests.kits.slack import SlackDouble, slack_double

NOTIFICATION = Notification("drift:churn:1", "drift", 1.0, "churn drifts", "age moved")


@pytest.fixture
def double() -> Iterator[SlackDouble]:
    with slack_double() as running:
        yield running


@pytest.fixture
def notifier(double: SlackDouble, database: str) -> Notifier:
    return Notifier(Slack(double.url, timeout=0.3))


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
    notifier: Notifier, double: SlackDouble
) -> None:
    for answer in (500, 500, 200):
        double.answer = answer
        notifier.notify(NOTIFICATION)
    double.answer = 403
    notifier.notify(NOTIFICATION._replace(key="r", kind="release"))
    assert read_counts() == {
        "drift": {"undelivered": 2, "delivered": 1},
        "release": {"refused": 1},
    }


def test_without_a_message_nothing_is_counted(home: Path) -> None:
    assert read_counts() == {}


def test_what_was_sent_is_forgotten_after_a_week(notifier: Notifier) -> None:
    notifier.notify(NOTIFICATION)
    now = time.time()
    assert notifier.unsent([NOTIFICATION]) == []
    assert notifier.forget_old(now) == 0
    assert notifier.forget_old(now + KEPT_SECONDS + 60) == 1
    assert notifier.unsent([NOTIFICATION]) == [NOTIFICATION]


@pytest.mark.parametrize("moment", ["before it is sent", "before it is counted"])
def test_a_process_that_dies_sends_it_once_or_not_at_all(
    notifier: Notifier, double: SlackDouble, moment: str, monkeypatch: Any
) -> None:
    send = notifier.channel.send

    def die(text: Any) -> None:
        if moment != "before it is sent":
            send(text)
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr(notifier.channel, "send", die)
        with pytest.raises(SystemExit):
            notifier.notify(NOTIFICATION)
    assert notifier.notify(NOTIFICATION) is None
    assert len(double.received) == (moment != "before it is sent")


def test_many_are_looked_up_at_once(notifier: Notifier) -> None:
    many = [NOTIFICATION._replace(key=f"drift:{n}") for n in range(PARAMETERS + 2)]
    for sent in (many[0], many[-1]):
        notifier.notify(sent)
    assert notifier.unsent(many) == many[1:-1]
