"""The message that Slack shows of a notification."""

import pytest

from ml_assets.observability.notifications.messages import (
    ICONS,
    Kind,
    Notification,
    message,
    ui_address,
)

RUN = "7b8ad2a4-6a1c-4c0e-9d5c-0a3f6f7c8d9e"
NOTIFICATION = Notification(
    "k", "deployment", 0.0, "churn was deployed", "version 1", RUN, "churn/deployment"
)


def test_a_message_links_to_the_run_and_the_model() -> None:
    text = message(NOTIFICATION, "https://dagster.example.com")["text"]
    assert text.splitlines() == [
        ":rocket: *churn was deployed* ·"
        " <!date^0^{date_short_pretty} {time}|1970-01-01>",
        "version 1",
        f"<https://dagster.example.com/runs/{RUN}|run 7b8ad2a4>"
        " · <https://dagster.example.com/assets/churn/deployment|churn/deployment>",
    ]


def test_without_an_address_of_the_ui_there_are_no_links() -> None:
    assert "|run" not in message(NOTIFICATION)["text"]


def test_what_came_from_data_controls_nothing() -> None:
    rude = NOTIFICATION._replace(
        title="<!channel>", text="<https://evil|click> *&*" * 100
    )
    lines = message(rude, "https://d")["text"].splitlines()
    assert lines[0].startswith(":rocket: *&lt;!channel&gt;*")
    assert "<" not in lines[1] and len(lines[1]) < 1_000


@pytest.mark.parametrize("kind", Kind.__args__)  # type: ignore[attr-defined]
def test_every_kind_has_a_sign(kind: str) -> None:
    assert ICONS[kind].startswith(":")


def test_the_address_of_the_ui_has_no_slash_at_its_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert ui_address() == ""
    monkeypatch.setenv("ML_ASSETS_UI_URL", "https://d.example.com/ui/ ")
    assert ui_address() == "https://d.example.com/ui"
