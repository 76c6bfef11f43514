"""What is worth a message, and how the message reads in Slack."""

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


class Announcement(NamedTuple):
    """One event that people are told of.

    Attributes
    ----------
    key : str
        What makes the event unique, whoever finds it and however often.
    time : float
        When it happened, Unix seconds.
    title : str
        A few words, such as ``census_income was deployed``.
    text : str
        One sentence more; it may come from data, so it is escaped and cut.
    run_id : str or None
        The run that it came of.
    asset : str or None
        Path of the asset that shows it, such as ``census_income/deployment``.
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


def message(event: Announcement, ui: str = "") -> dict[str, Any]:
    """The payload for Slack's webhook.

    Parameters
    ----------
    ui : str
        Address of the Dagster UI; without one there are no links.

    Examples
    --------
    >>> event = Announcement("k", "drift", 0.0, "churn drifts", "age: <60 & >70")
    >>> print(message(event)["text"])
    :ocean: *churn drifts* · <!date^0^{date_short_pretty} {time}|1970-01-01>
    age: &lt;60 &amp; &gt;70
    """
    lines = [f"{ICONS[event.kind]} *{escape(event.title)}* · {_moment(event.time)}"]
    if event.text:
        lines.append(escape(shortened(event.text)))
    lines += [" · ".join(links(event, ui))] if ui else []
    return {"text": "\n".join(lines), "unfurl_links": False, "unfurl_media": False}


def links(event: Announcement, ui: str) -> list[str]:
    """Links to the run and to the model, as Slack writes them."""
    found = []
    if event.run_id:
        found.append(f"<{ui}/runs/{quote(event.run_id)}|run {event.run_id[:8]}>")
    if event.asset:
        found.append(f"<{ui}/assets/{quote(event.asset)}|{escape(event.asset)}>")
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


def _moment(time: float) -> str:
    """Shown in the reader's time zone; the fallback is the day in UTC."""
    day = dt.datetime.fromtimestamp(time, dt.UTC).date().isoformat()
    return f"<!date^{int(time)}^{{date_short_pretty}} {{time}}|{day}>"
