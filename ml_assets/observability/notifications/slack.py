"""Slack's incoming webhook: one attempt to send one message, and its outcome.

A connection is made before anything is sent. So a failure to connect is certain to have
delivered nothing, and one after it is not: the message may have been shown.
"""

import http.client
import json
import os
import ssl
import urllib.request
from typing import Any, Literal, NamedTuple
from urllib.parse import SplitResult, urlsplit

TIMEOUT_SECONDS = 3.0
OK = range(200, 300)
TOO_MANY = 429
SERVER_ERRORS = range(500, 600)

Result = Literal["delivered", "undelivered", "refused", "unknown"]


class WebhookError(ValueError):
    """``SLACK_WEBHOOK`` is no address; the error's message does not contain it."""


class Outcome(NamedTuple):
    """The outcome of an attempt.

    Attributes
    ----------
    result : str
        ``delivered``; ``undelivered``, which may be sent again; ``refused``, which
        would be refused again; ``unknown``, which may have arrived.
    reason : str
        A few words, without the address.
    retry_after : float
        Seconds that Slack asks to wait; 0 where it asks for none.
    """

    result: Result
    reason: str
    retry_after: float = 0.0


class Slack:
    """The channel behind one webhook; its address is a secret.

    Raises
    ------
    WebhookError
        If `address` is not an ``https`` or ``http`` URL.
    """

    def __init__(self, address: str, timeout: float = TIMEOUT_SECONDS) -> None:
        self._url = _parsed(address)
        self._timeout = timeout

    def __repr__(self) -> str:
        return "Slack(...)"

    def send(self, message: dict[str, Any]) -> Outcome:
        """Send `message` once; nothing that the network does is raised."""
        connection = self._connection()
        try:
            try:
                connection.connect()
            except (OSError, http.client.HTTPException) as error:
                return Outcome("undelivered", f"no connection: {_named(error)}")
            try:
                return self._post(connection, json.dumps(message).encode())
            except (OSError, http.client.HTTPException) as error:
                return Outcome("unknown", f"no answer: {_named(error)}")
        finally:
            connection.close()

    def _connection(self) -> http.client.HTTPConnection:
        host, port = str(self._url.hostname), self._url.port
        if self._url.scheme == "http":
            return http.client.HTTPConnection(host, port, timeout=self._timeout)
        context = ssl.create_default_context()
        proxy = _proxy(host)
        if proxy is None:
            return http.client.HTTPSConnection(
                host, port, timeout=self._timeout, context=context
            )
        tunnel = http.client.HTTPSConnection(
            str(proxy.hostname), proxy.port, timeout=self._timeout, context=context
        )
        tunnel.set_tunnel(host, port or http.client.HTTPS_PORT)
        return tunnel

    def _post(self, connection: http.client.HTTPConnection, body: bytes) -> Outcome:
        path = self._url._replace(scheme="", netloc="", fragment="").geturl() or "/"
        headers = {"Content-Type": "application/json"}
        connection.request("POST", path, body, headers)
        answer = connection.getresponse()
        text = f"Slack answered {answer.status}"
        if answer.status in OK:
            return Outcome("delivered", text)
        if answer.status == TOO_MANY or answer.status in SERVER_ERRORS:
            wait = _seconds(answer.headers.get("Retry-After"))
            return Outcome("undelivered", text, wait)
        return Outcome("refused", text)


def from_environment() -> Slack | None:
    """The channel that ``SLACK_WEBHOOK`` names; None where it is unset.

    Raises
    ------
    WebhookError
        If it is no address.
    """
    address = os.environ.get("SLACK_WEBHOOK", "").strip()
    return Slack(address) if address else None


def _parsed(address: str) -> SplitResult:
    # The causes would show the address, which is a secret.
    try:
        url = urlsplit(address)
        whole = bool(url.hostname) and (url.port is None or url.port > 0)
    except ValueError:
        whole = False
    printable = address.isascii() and address.isprintable() and " " not in address
    if not whole or not printable or url.scheme not in ("https", "http"):
        raise WebhookError(
            "SLACK_WEBHOOK is not an https URL; Slack shows the URL of an incoming"
            " webhook as https://hooks.slack.com/services/..."
        )
    return url


def _proxy(host: str) -> SplitResult | None:
    """The proxy of the environment through which `host` is reached."""
    address = urllib.request.getproxies().get("https")
    if not address or urllib.request.proxy_bypass(host):
        return None
    return urlsplit(address if "//" in address else f"//{address}")


def _seconds(text: str | None) -> float:
    """Seconds of a ``Retry-After``; Slack never sends a date.

    Examples
    --------
    >>> _seconds("30"), _seconds(None), _seconds("Wed, 21 Oct 2026 07:28:00 GMT")
    (30.0, 0.0, 0.0)
    """
    return float(text) if text and text.isdecimal() else 0.0


def _named(error: Exception) -> str:
    """What happened, without the text of an error that may show the address."""
    if isinstance(error, TimeoutError):
        return "timed out"
    if isinstance(error, OSError) and error.errno is not None:
        # For a name that cannot be resolved the number is the resolver's.
        return f"{type(error).__name__} {error.errno}"
    return type(error).__name__
