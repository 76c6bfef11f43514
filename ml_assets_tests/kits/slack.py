"""A server that speaks the protocol of Slack's incoming webhooks."""

import http.server
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ml_assets_tests.kits.doubles import served

SECRET = "T0NE/B0GUS/s3cr3tPath"
TEXTS = {200: b"ok", 403: b"invalid_token", 404: b"no_service", 429: b"rate_limited"}


class SlackDouble(http.server.ThreadingHTTPServer):
    """Takes messages and answers with `answer`.

    `answer` is a status, ``hang`` (it reads and never answers) or ``cut`` (it reads and
    closes). `received` are the messages that came, `shown` those that got 200.
    """

    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answer: int | str = 200
        self.retry_after = ""
        self.received: list[dict[str, Any]] = []
        self.shown: list[dict[str, Any]] = []
        self.came = threading.Event()
        self.released = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/services/{SECRET}"

    @property
    def texts(self) -> list[str]:
        """The texts of the messages that were shown."""
        return [message["text"] for message in self.shown]


class _Handler(http.server.BaseHTTPRequestHandler):
    server: SlackDouble

    def do_POST(self) -> None:
        assert self.headers["content-type"] == "application/json"
        message = json.loads(self.rfile.read(int(self.headers["content-length"])))
        slack, answer = self.server, self.server.answer
        slack.received.append(message)
        slack.came.set()
        if answer == "hang":
            slack.released.wait()
        if isinstance(answer, str):
            self.close_connection = True
            return
        is_whole = message.get("text") or message.get("attachments")
        known = self.path == f"/services/{SECRET}" and is_whole
        status = answer if known else 404
        if status == 200:
            slack.shown.append(message)
        self.send_response(status)
        if slack.retry_after:
            self.send_header("Retry-After", slack.retry_after)
        body = TEXTS.get(status, b"")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Keep quiet."""


@contextmanager
def slack_double() -> Iterator[SlackDouble]:
    """A double that runs until the block ends."""
    slack = SlackDouble()
    with served(slack):
        try:
            yield slack
        finally:
            slack.released.set()


def closed_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
