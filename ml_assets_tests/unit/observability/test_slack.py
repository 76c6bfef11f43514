"""One attempt at Slack, over real sockets."""

from collections.abc import Iterator

import pytest

from ml_assets.observability.notifications.slack import (
    Outcome,
    Slack,
    WebhookError,
    from_environment,
)
from ml_assets_tests.kits.slack import SECRET, SlackDouble, closed_port, slack_double

MESSAGE = {"text": "hello"}


@pytest.fixture
def double() -> Iterator[SlackDouble]:
    with slack_double() as running:
        yield running


@pytest.mark.parametrize(
    "answer, retry_after, outcome",
    [
        (200, "", Outcome("delivered", "Slack answered 200")),
        (429, "30", Outcome("undelivered", "Slack answered 429", 30.0)),
        (429, "soon", Outcome("undelivered", "Slack answered 429", 0.0)),
        (500, "", Outcome("undelivered", "Slack answered 500")),
        (503, "7", Outcome("undelivered", "Slack answered 503", 7.0)),
        (403, "", Outcome("refused", "Slack answered 403")),
        (302, "", Outcome("refused", "Slack answered 302")),
        ("cut", "", Outcome("unknown", "no answer: RemoteDisconnected")),
    ],
)
def test_an_answer_is_read_as_slack_means_it(
    double: SlackDouble, answer: int | str, retry_after: str, outcome: Outcome
) -> None:
    double.answer, double.retry_after = answer, retry_after
    assert Slack(double.url).send(MESSAGE) == outcome
    assert double.received == [MESSAGE]


def test_silence_after_the_request_is_an_unknown_outcome(double: SlackDouble) -> None:
    double.answer = "hang"
    outcome = Slack(double.url, timeout=0.2).send(MESSAGE)
    assert outcome == Outcome("unknown", "no answer: timed out")
    assert double.received == [MESSAGE]


def test_nothing_arrives_where_nobody_listens() -> None:
    address = f"http://127.0.0.1:{closed_port()}/services/{SECRET}"
    outcome = Slack(address).send(MESSAGE)
    assert outcome == Outcome(
        "undelivered", "no connection: ConnectionRefusedError 111"
    )


def test_a_name_that_does_not_exist_is_no_connection() -> None:
    outcome = Slack(f"http://slack.invalid/services/{SECRET}").send(MESSAGE)
    assert outcome.result == "undelivered"


def test_a_server_without_tls_is_no_connection(double: SlackDouble) -> None:
    outcome = Slack(double.url.replace("http:", "https:"), timeout=1.0).send(MESSAGE)
    assert outcome.result == "undelivered"
    assert double.received == []


def test_three_seconds_are_the_limit_by_default() -> None:
    assert Slack("https://hooks.slack.com/services/x")._timeout == 3.0


@pytest.mark.parametrize(
    "address",
    [
        f"hooks.slack.com/services/{SECRET}",
        f"ftp://hooks.slack.com/services/{SECRET}",
        f"https:///services/{SECRET}",
        f"https://hooks.slack.com:none/services/{SECRET}",
        f"https://[hooks/services/{SECRET}",
        f"https://hooks.slack.com/services/ {SECRET}",
        f"https://hooks.slack.com/services/\n{SECRET}",
    ],
)
def test_what_is_no_address_is_refused_and_not_repeated(
    monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setenv("SLACK_WEBHOOK", address)
    with pytest.raises(WebhookError, match="SLACK_WEBHOOK is not an https") as error:
        from_environment()
    assert SECRET not in str(error.value)
    assert error.value.__cause__ is error.value.__context__ is None


def test_the_address_is_in_no_text_of_the_channel(double: SlackDouble) -> None:
    assert SECRET not in repr(Slack(double.url))


@pytest.mark.parametrize("value", [None, "", "  "])
def test_without_an_address_there_is_no_channel(
    monkeypatch: pytest.MonkeyPatch, value: str | None
) -> None:
    monkeypatch.delenv("SLACK_WEBHOOK", raising=False)
    if value is not None:
        monkeypatch.setenv("SLACK_WEBHOOK", value)
    assert from_environment() is None


def test_the_proxy_of_the_environment_is_asked_for_a_tunnel(
    monkeypatch: pytest.MonkeyPatch, double: SlackDouble
) -> None:
    monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{double.server_port}")
    monkeypatch.setenv("no_proxy", "")
    outcome = Slack(f"https://hooks.slack.com/services/{SECRET}").send(MESSAGE)
    # The double is no proxy, and says so to CONNECT.
    assert outcome.result == "undelivered"
    assert double.received == []
