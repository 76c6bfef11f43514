"""The short way of a prediction: no task, no event and no messages for its answer."""

from time import perf_counter
from typing import ClassVar, NamedTuple

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from ml_assets.serving.http.body import HeldBytes
from ml_assets.serving.http.guard import GuardedProtocol
from ml_assets.serving.http.header_cache import Head, KnownHeads
from ml_assets.serving.requests.messages import Route, read_headers
from ml_assets.serving.requests.problems import Problem


class Express(NamedTuple):
    """A prediction on its way in, that is answered when its last byte is there."""

    route: Route
    head: Head
    started: float
    body: list[bytes]
    held: HeldBytes


class ExpressProtocol(GuardedProtocol):
    """One connection."""

    heads: ClassVar[KnownHeads]

    express: Express | None = None
    unknown_head: bytes = b""
    is_last = False

    def connection_lost(self, exc: Exception | None) -> None:
        """Give back what a request that never became whole held."""
        super().connection_lost(exc)
        if self.express is not None:
            self.express.held.release()
            self.express = None

    def data_received(self, data: bytes) -> None:
        """Answer at once what can be; parse all else."""
        if self.is_idle and not self.is_refused and self._answered_by_head(data):
            return
        super().data_received(data)
        self.unknown_head = b""

    def _begin_answer(self) -> None:
        self.express = self._take_express()
        if self.express is None:
            super()._begin_answer()
        elif self.unknown_head:
            self.heads.add(self.unknown_head, self.express.head)
        # Further requests of the same packet have heads of their own.
        self.unknown_head = b""

    def on_body(self, body: bytes) -> None:
        """Take a part of the body."""
        if self.express is None:
            super().on_body(body)
            return
        try:
            self.express.held.take_small(len(body))
        except Problem as refusal:
            self.refusal = refusal
            raise
        self.express.body.append(body)

    def _end_request(self) -> None:
        if self.express is None:
            super()._end_request()
        else:
            self._answer_express(self.express)

    def shutdown(self) -> None:
        """Close, after the answer to a request that is on its way in."""
        if self.express is None:
            super().shutdown()
        else:
            self.is_last = True

    @property
    def is_answering(self) -> bool:
        """Whether a request was begun that has no answer yet."""
        return self.express is not None or super().is_answering

    @property
    def is_answer_begun(self) -> bool:
        """Whether a part of the answer to the request on its way in was sent."""
        return self.express is None and super().is_answer_begun

    def _ignore_upgrade(self, rest: bytes) -> None:
        # The head that is parsed next is not the one that was sent.
        self.unknown_head = b""
        super()._ignore_upgrade(rest)

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
        route = self.server_app.express(head.address, head.headers)
        if route is None:
            return False
        self._unset_keepalive_if_required()
        body = [data[len(text) :]]
        held = self.server_app.bodies.hold()
        self._answer_express(Express(route, head, perf_counter(), body, held))
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
        route = self.server_app.express(address, headers)
        if route is None:
            return None
        if address == b"/invocations" and headers.model is not None:
            return None
        head = Head(address, self.headers, headers, self.parser.should_keep_alive())
        held = self.server_app.bodies.hold()
        return Express(route, head, perf_counter(), [], held)

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
        express.held.release()
        self.server_state.total_requests += 1
        self.since = self.loop.time()
        if closes:
            self.transport.close()
