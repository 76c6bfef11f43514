"""uvicorn's HTTP protocol with the bounds that it lacks: slow and surplus clients.

uvicorn waits without end for a request's headers and body, and takes headers of any
length. Here every connection knows the phase that it is in and when its request began,
and the server looks at them once a second.
"""

import asyncio
from typing import ClassVar, Literal

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from ml_assets.serving.problems import Problem
from ml_assets.serving.settings import ServerSettings

_MAX_HEADER_BYTES = 32 * 1024
# What a client may go on sending after its body was refused, so that it reads why.
_DISCARDED_BODIES = 4
_RELEASE_SECONDS = 10.0

Phase = Literal["headers", "body", "idle"]


class GuardedProtocol(HttpToolsProtocol):
    """One connection."""

    settings: ClassVar[ServerSettings]

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
        super().data_received(data)
        if not self.is_idle:
            self.received += len(data)
            self._bound()

    def on_headers_complete(self) -> None:
        """Start to answer."""
        self.phase = "body"
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Know that the request is whole."""
        self.phase = "idle"
        super().on_message_complete()

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
        if self.cycle is None or not self.cycle.response_started:
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
