"""uvicorn's HTTP protocol with the bounds that it lacks: slow and surplus clients.

uvicorn waits without end for a request's headers and body, and takes headers of any
length. Here every connection knows the phase that it is in and when its request began,
and the server checks them once a second. The parser alone determines the phase: the
first bytes of a request may arrive behind the last of the one before.
"""

import asyncio
from typing import ClassVar, Literal

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from ml_assets.serving.http.app import ModelServer
from ml_assets.serving.http.parting import PartingTransport
from ml_assets.serving.http.request_head import (
    MAX_HEADER_BYTES,
    fault_of_head,
    headers_too_large,
    read_headers,
    without_upgrade,
)
from ml_assets.serving.requests.problems import Problem
from ml_assets.serving.settings import ServerSettings

# What a client may go on sending after its body was refused, so that it reads why.
_DISCARDED_BODIES = 4
_RELEASE_SECONDS = 10.0
# How long a connection is not read after a part of a body that is dropped: uvloop reads
# a socket up to 32 times before it turns to the next, and 64 of them for 60 ms.
_DROPPING_SECONDS = 0.01

Phase = Literal["headers", "body", "idle"]


class GuardedProtocol(HttpToolsProtocol):
    """One connection."""

    settings: ClassVar[ServerSettings]
    server_app: ClassVar[ModelServer]

    phase: Phase = "idle"
    since = 0.0
    received = 0
    ahead = 0
    packet = 0
    refusal: Problem | None = None
    is_refused = False
    is_parting = False
    closing_since: float | None = None

    def connection_made(  # type: ignore[override]
        self, transport: asyncio.Transport
    ) -> None:
        """Take a connection, closing the longest idle one if there are too many."""
        super().connection_made(transport)
        self.parting = PartingTransport(transport, self.part)
        self.since = self.loop.time()
        if len(self.connections) > self.settings.max_connections:
            self._make_room()

    def data_received(self, data: bytes) -> None:
        """Parse what came, and bound the headers and what is dropped of a body."""
        if self.is_refused:
            self._bound(len(data))
            return
        # Only what begins a packet is known to begin with the packet's first byte.
        self.packet = len(data)
        self.ahead = 0 if self.is_idle else self.packet
        self._feed(data)
        if not self.is_idle:
            self._bound(len(data))

    def _feed(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._ignore_upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserError:
            self.send_400_response("")

    def _ignore_upgrade(self, rest: bytes) -> None:
        """Parse a request anew without its wish for another protocol.

        The parser takes what follows such a head for that protocol, and so loses the
        body.
        """
        method, version = self.parser.get_method(), self.parser.get_http_version()
        if method == b"CONNECT":
            detail = "expected a request for this server, found one to a proxy"
            self._refuse(Problem(405, "method-not-allowed", detail))
            return
        head = without_upgrade(method, self.url, version, self.headers)
        self.parser = httptools.HttpRequestParser(self)
        # As uvicorn sets it, so that the first of several requests is answered.
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self._feed(head + rest)

    def on_message_begin(self) -> None:
        """Know that a request is on its way in, wherever in a packet it begins."""
        super().on_message_begin()
        self.phase = "headers"
        self.since = self.loop.time()
        self.received = -self.ahead
        self.ahead = self.packet

    def on_headers_complete(self) -> None:
        """Start to answer."""
        self.refusal = fault_of_head(
            self.parser.get_http_version(), self.url, self.headers
        )
        if self.refusal is not None:
            raise self.refusal
        if self.parser.should_upgrade():
            return
        self.phase = "body"
        self._begin_answer()

    def _begin_answer(self) -> None:
        """Start to answer the request whose head is there."""
        super().on_headers_complete()
        self.cycle.transport = self.parting

    def on_message_complete(self) -> None:
        """Know that the request is whole."""
        if self.parser.should_upgrade():
            return
        self.phase = "idle"
        self._end_request()

    def _end_request(self) -> None:
        """Let the answer go on with a body that is whole."""
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Close after the last answer before a request that was refused."""
        is_last = self.is_refused and not self.pipeline
        super().on_response_complete()
        if is_last:
            self.part()
        if self.is_parting:
            # uvicorn's timer of idle connections.
            self._unset_keepalive_if_required()

    def part(self) -> None:
        """Close the connection as soon as its client has read the last answer.

        What a client still sends is dropped until it closes its side, which it does
        when it has read an answer with "connection: close".
        """
        self.server_app.held.send()
        if self.is_idle and not self.is_refused:
            self.transport.close()
            return
        self.is_refused = self.is_parting = True
        self.pipeline.clear()
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if self.transport.can_write_eof():
            self.transport.write_eof()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is not HTTP, or what a callback of the parser refused."""
        detail = "expected an HTTP/1.1 request"
        self._refuse(self.refusal or Problem(400, "malformed-request", detail))

    def expire(self, now: float) -> None:
        """Close the connection if its client takes too long."""
        self.server_app.held.send()
        if self.transport.is_closing() or self.transport.get_write_buffer_size():
            if self.closing_since is None:
                self.closing_since = now
            elif now - self.closing_since > _RELEASE_SECONDS:
                self.transport.abort()
            return
        self.closing_since = None
        waited = now - self.since
        headers, body = self.settings.header_seconds, self.settings.body_seconds
        if self.is_parting:
            if waited > headers + body:
                self.transport.close()
        elif self.phase == "headers" and waited > headers:
            self._refuse(_slow("headers", headers))
        elif self.phase == "body" and waited > headers + body:
            self._refuse(_slow("body", body))
        elif (
            self.is_idle
            and not self.is_answering
            and waited > self.settings.keep_alive_seconds
        ):
            # After an answer by the fast path no timer of uvicorn's runs.
            self.transport.close()

    def _bound(self, size: int) -> None:
        """Send away who has sent too much, and read what is dropped a part at a time.

        Of the request that is on its way in, `size` bytes more are there.
        """
        self.received += size
        is_head = self.phase == "headers" and not self.is_refused
        if is_head and self.received > MAX_HEADER_BYTES:
            self._refuse(headers_too_large())
        elif self.received > _DISCARDED_BODIES * self.settings.max_body_bytes:
            self.transport.abort()
        elif self.is_refused or self.is_dropping:
            self.flow.pause_reading()
            self.loop.call_later(_DROPPING_SECONDS, self._go_on)

    def _go_on(self) -> None:
        """Read more of a body that is dropped."""
        if not self.transport.is_closing():
            self.flow.resume_reading()

    @property
    def is_dropping(self) -> bool:
        """Whether a body is on its way in whose request was answered before."""
        return (
            self.phase == "body"
            and self.cycle is not None
            and self.cycle.response_complete
        )

    @property
    def is_idle(self) -> bool:
        """Whether no request is on its way in."""
        return self.phase == "idle"

    @property
    def is_answering(self) -> bool:
        """Whether a request was begun that has no answer yet."""
        return self.cycle is not None and not self.cycle.response_complete

    @property
    def is_answer_begun(self) -> bool:
        """Whether a part of the answer to the request on its way in was sent."""
        if self.cycle is None or not self.cycle.response_started:
            return False
        return self.phase == "body" or not self.cycle.response_complete

    def _make_room(self) -> None:
        self.server_app.held.send()
        others = [
            item
            for item in self.connections
            if isinstance(item, GuardedProtocol)
            and item is not self
            and not item.is_answering
            and not item.transport.is_closing()
        ]
        victim = min(others, key=lambda item: item.since, default=self)
        victim.transport.abort()

    def _refuse(self, problem: Problem) -> None:
        if self.transport.is_closing() or self.is_refused:
            return
        self.server_app.held.send()
        self.is_refused = True
        is_waited_for = self.phase != "body" and self.is_answering
        if self.pipeline or is_waited_for:
            # Answers go out in the order of the requests: before its turn, a refusal
            # would be read as the answer to another request.
            if self.phase == "body":
                self.pipeline.popleft()
            return
        if not self.is_answer_begun:
            self.transport.write(self._refusal(problem))
        self.part()

    def _refusal(self, problem: Problem) -> bytes:
        """The answer to the request that is on its way in, if it is one."""
        url, given = (b"", ()) if self.is_idle else (self.url, self.headers)
        path = url.partition(b"?")[0].decode("latin-1")
        response = self.server_app.refuse(problem, read_headers(given), path)
        lines = [
            (b"content-type", response.content_type),
            (b"content-length", b"%d" % len(response.body)),
            (b"connection", b"close"),
            *response.headers,
        ]
        head = b"".join(b"%b: %b\r\n" % line for line in lines)
        return STATUS_LINE[problem.status] + head + b"\r\n" + response.body


def _slow(part: str, seconds: float) -> Problem:
    detail = f"expected the whole {part} within {seconds:g} s"
    return Problem(408, "slow-request", detail)
