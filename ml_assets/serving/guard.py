"""uvicorn's HTTP protocol with the bounds that it lacks: slow and surplus clients.

uvicorn waits without end for a request's headers and body, and takes headers of any
length. Here every connection knows the phase that it is in and when its request began,
and the server looks at them once a second.
"""

import asyncio
from time import perf_counter
from typing import ClassVar, Literal, NamedTuple

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from ml_assets.serving.app import ModelServer
from ml_assets.serving.heads import Head, KnownHeads
from ml_assets.serving.messages import Route, read_headers
from ml_assets.serving.problems import Problem
from ml_assets.serving.settings import ServerSettings

_MAX_HEADER_BYTES = 32 * 1024
# What a client may go on sending after its body was refused, so that it reads why.
_DISCARDED_BODIES = 4
_RELEASE_SECONDS = 10.0

Phase = Literal["headers", "body", "idle"]


class Express(NamedTuple):
    """A prediction on its way in, that is answered when its last byte is there."""

    route: Route
    head: Head
    started: float
    body: list[bytes]


class GuardedProtocol(HttpToolsProtocol):
    """One connection."""

    settings: ClassVar[ServerSettings]
    server_app: ClassVar[ModelServer]
    heads: ClassVar[KnownHeads]

    express: Express | None = None
    unknown_head: bytes = b""
    is_last = False
    phase: Phase = "headers"
    since = 0.0
    received = 0
    closing_since: float | None = None

    def connection_made(  # type: ignore[override]
        self, transport: asyncio.Transport
    ) -> None:
        """Take a connection, closing the longest idle one if there are too many."""
        super().connection_made(transport)
        self.since = self.loop.time()
        if len(self.connections) > self.settings.max_connections:
            self._make_room()

    def data_received(self, data: bytes) -> None:
        """Parse what came, and bound the headers and what is dropped of a body."""
        if self.is_idle:
            self.phase = "headers"
            self.since = self.loop.time()
            self.received = 0
            if self._answered_by_head(data):
                return
        super().data_received(data)
        self.unknown_head = b""
        if not self.is_idle:
            self.received += len(data)
            self._bound()

    def on_headers_complete(self) -> None:
        """Start to answer."""
        self.phase = "body"
        self.express = self._take_express()
        if self.express is None:
            super().on_headers_complete()
        elif self.unknown_head:
            self.heads.add(self.unknown_head, self.express.head)
        # Further requests of the same packet have heads of their own.
        self.unknown_head = b""

    def on_body(self, body: bytes) -> None:
        """Take a part of the body."""
        if self.express is None:
            super().on_body(body)
        else:
            self.express.body.append(body)

    def on_message_complete(self) -> None:
        """Know that the request is whole."""
        self.phase = "idle"
        if self.express is None:
            super().on_message_complete()
        else:
            self._answer_express(self.express)

    def shutdown(self) -> None:
        """Close, after the answer to a request that is on its way in."""
        if self.express is None:
            super().shutdown()
        else:
            self.is_last = True

    def _answered_by_head(self, data: bytes) -> bool:
        """Answer a whole request at once if its head was parsed before.

        Clients repeat their heads byte for byte; parsing one again costs more than the
        prediction.
        """
        text = self.heads.head_of(data)
        head = self.heads.get(text)
        if head is None:
            self.unknown_head = text
            return False
        if len(data) != len(text) + head.headers.length or not self._is_free:
            return False
        route = self.server_app.express(head.address, head.headers.length)
        if route is None:
            return False
        self._unset_keepalive_if_required()
        self.phase = "idle"
        self._answer_express(Express(route, head, perf_counter(), [data[len(text) :]]))
        return True

    @property
    def _is_free(self) -> bool:
        """Whether no other answer is under way, and the client reads."""
        return not (self.is_answering or self.flow.write_paused)

    def _take_express(self) -> Express | None:
        """The request, if it is a prediction that nothing has to wait for."""
        address = self.url
        if address not in self.server_app.state.express:
            return None
        if (
            self.parser.get_method() != b"POST"
            or self.parser.get_http_version() != "1.1"
        ):
            return None
        # A client that asks first gets its answer the ordinary way.
        if not self._is_free or self.expect_100_continue:
            return None
        headers = read_headers(self.headers)
        route = self.server_app.express(address, headers.length)
        if route is None or self.parser.should_upgrade():
            return None
        if address == b"/invocations" and headers.model is not None:
            return None
        head = Head(address, self.headers, headers, self.parser.should_keep_alive())
        return Express(route, head, perf_counter(), [])

    def _answer_express(self, express: Express) -> None:
        self.express = None
        app, head = self.server_app, express.head
        response, request_id = app.answer_at_once(
            express.route, head.headers, b"".join(express.body), express.started
        )
        parts = [STATUS_LINE[response.status]]
        for name, value in (*self.server_state.default_headers, *response.headers):
            parts += (name, b": ", value, b"\r\n")
        closes = self.is_last or app.is_draining or not head.keeps_alive
        parts.append(
            b"content-type: %b\r\ncontent-length: %d\r\nx-request-id: %b\r\n%b\r\n"
            % (
                response.content_type,
                len(response.body),
                request_id,
                b"connection: close\r\n" if closes else b"",
            )
        )
        parts.append(response.body)
        self.transport.write(b"".join(parts))
        self.server_state.total_requests += 1
        self.since = self.loop.time()
        if closes:
            self.transport.close()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is not HTTP."""
        self._refuse(Problem(400, "malformed-request", "expected an HTTP/1.1 request"))

    def expire(self, now: float) -> None:
        """Close the connection if its client takes too long."""
        if self.transport.is_closing() or self.transport.get_write_buffer_size():
            if self.closing_since is None:
                self.closing_since = now
            elif now - self.closing_since > _RELEASE_SECONDS:
                self.transport.abort()
            return
        self.closing_since = None
        waited = now - self.since
        headers, body = self.settings.header_seconds, self.settings.body_seconds
        if self.phase == "headers" and waited > headers:
            self._refuse(_slow("headers", headers))
        elif self.phase == "body" and waited > headers + body:
            self._refuse(_slow("body", body))
        elif (
            self.is_idle
            and not self.is_answering
            and waited > self.settings.keep_alive_seconds
        ):
            # After an express answer no timer of uvicorn's runs.
            self.transport.close()

    def _bound(self) -> None:
        """Send away a client whose request is not whole and already too long."""
        if self.phase == "headers" and self.received > _MAX_HEADER_BYTES:
            detail = f"expected at most {_MAX_HEADER_BYTES} bytes of headers"
            self._refuse(Problem(431, "headers-too-large", detail))
        elif self.received > _DISCARDED_BODIES * self.settings.max_body_bytes:
            self.transport.abort()

    @property
    def is_idle(self) -> bool:
        """Whether no request is on its way in."""
        return self.phase == "idle"

    @property
    def is_answering(self) -> bool:
        """Whether a request was begun that has no answer yet."""
        if self.express is not None:
            return True
        return self.cycle is not None and not self.cycle.response_complete

    def _make_room(self) -> None:
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
        if self.transport.is_closing():
            return
        started = self.cycle is not None and self.cycle.response_started
        if self.express is not None or not started:
            body = problem.body()
            self.transport.write(
                STATUS_LINE[problem.status]
                + b"content-type: application/problem+json\r\n"
                + b"content-length: %d\r\n" % len(body)
                + b"connection: close\r\n\r\n"
                + body
            )
        self.transport.close()


def _slow(part: str, seconds: float) -> Problem:
    detail = f"expected the whole {part} within {seconds:g} s"
    return Problem(408, "slow-request", detail)
