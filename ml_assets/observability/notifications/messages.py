"""Notifications, and the messages that Slack shows of them."""

import datetime as dt
import os
from typing import Any, Literal, NamedTuple
from urllib.parse import quote

Kind = Literal[
    "run_failure", "gate", "deployment", "refusal", "rollback", "drift", "release"
]

ICONS: dict[str, str] = {
    "run_failure": ":x:",
    "gate": ":bar_chart:",
    "deployment": ":rocket:",
    "refusal": ":no_entry:",
    "rollback": ":leftwards_arrow_with_hook:",
    "drift": ":ocean:",
    "release": ":package:",
}
LONGEST = 300


class Notification(NamedTuple):
    """One event that a message is sent of.

    Attributes
    ----------
    key : str
        Identifies the event, however often and by whichever process it is found.
    time : float
        When it happened, Unix seconds.
    title : str
        A few words, such as ``census_income was deployed``.
    text : str
        One sentence more; it may come from data, so it is escaped and cut.
    run_id : str or None
        The run that caused it.
    asset : str or None
        Path of the asset with the details, such as ``census_income/deployment``.
    """

    key: str
    kind: Kind
    time: float
    title: str
    text: str
    run_id: str | None = None
    asset: str | None = None


def ui_address() -> str:
    """``ML_ASSETS_UI_URL``, the address of the Dagster UI; empty where unset."""
    return os.environ.get("ML_ASSETS_UI_URL", "").strip().rstrip("/")


def message(notification: Notification, ui: str = "") -> dict[str, Any]:
    """The payload for Slack's webhook.

    Parameters
    ----------
    ui : str
        Address of the Dagster UI; without one there are no links.

    Examples
    --------
    >>> sent = Notification("k", "drift", 0.0, "churn drifts", "age: <60 & >70")
    >>> print(message(sent)["text"])
    :ocean: *churn drifts* · <!date^0^{date_short_pretty} {time}|1970-01-01>
    age: &lt;60 &amp; &gt;70
    """
    lines = [
        f"{ICONS[notification.kind]} *{escape(notification.title)}*"
        f" · {_date(notification.time)}"
    ]
    if notification.text:
        lines.append(escape(shortened(notification.text)))
    lines += [" · ".join(links(notification, ui))] if ui else []
    return {"text": "\n".join(lines), "unfurl_links": False, "unfurl_media": False}


def links(notification: Notification, ui: str) -> list[str]:
    """Links to the run and to the model, as Slack writes them."""
    found = []
    if notification.run_id:
        found.append(
            f"<{ui}/runs/{quote(notification.run_id)}|run {notification.run_id[:8]}>"
        )
    if notification.asset:
        found.append(
            f"<{ui}/assets/{quote(notification.asset)}|{escape(notification.asset)}>"
        )
    return found


def escape(text: str) -> str:
    """`text` without the three characters that control Slack's mark-up.

    So nobody is mentioned, and no link is made, by what came from data.

    Examples
    --------
    >>> escape("<!channel> & co")
    '&lt;!channel&gt; &amp; co'
    """
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def shortened(text: str) -> str:
    """One line of at most 300 characters.

    Examples
    --------
    >>> shortened("two\\nlines"), len(shortened("x" * 1000))
    ('two lines', 300)
    """
    line = " ".join(text.split())
    return line if len(line) <= LONGEST else line[: LONGEST - 1] + "…"


def _date(time: float) -> str:
    """The time in the reader's time zone; where Slack cannot show it, the UTC day."""
    day = dt.datetime.fromtimestamp(time, dt.UTC).date().isoformat()
    return f"<!date^{int(time)}^{{date_short_pretty}} {{time}}|{day}>"
