"""The fast path of a prediction: no task, no event and no messages for its answer."""

from collections.abc import Iterable
from time import perf_counter
from typing import ClassVar, NamedTuple

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from ml_assets.serving.http.body import Reservation
from ml_assets.serving.http.guard import GuardedProtocol
from ml_assets.serving.http.header_cache import HeaderCache, RequestHead
from ml_assets.serving.http.request_head import read_headers
from ml_assets.serving.http.routes import Route
from ml_assets.serving.requests.problems import Problem


class FastRequest(NamedTuple):
    """A prediction on its way in, that is answered when its last byte is there."""

    route: Route
    head: RequestHead
    started: float
    body: list[bytes]
    reservation: Reservation


class FastPathProtocol(GuardedProtocol):
    """One connection."""

    header_cache: ClassVar[HeaderCache]
    # The headers that all answers have, and their lines: others once a second.
    common: ClassVar[tuple[object, bytes]] = (None, b"")

    fast_request: FastRequest | None = None
    unknown_head: bytes = b""
    is_last = False
    # The request that is parsed next takes the application, as was found out.
    is_long = False

    def connection_lost(self, exc: Exception | None) -> None:
        """Release the reservation of a request that never became whole."""
        super().connection_lost(exc)
        self._forget_request()

    def part(self) -> None:
        """Close the connection as soon as its client has read the last answer."""
        super().part()
        self._forget_request()

    def _forget_request(self) -> None:
        if self.fast_request is not None:
            self.fast_request.reservation.release()
            self.fast_request = None

    def data_received(self, data: bytes) -> None:
        """Answer at once what can be; parse all else."""
        is_first = self.phase == "idle" and not self.is_refused
        if is_first and self._answered_from_cache(data):
            return
        super().data_received(data)
        self.unknown_head = b""

    def _begin_answer(self) -> None:
        self.fast_request = self._admitted()
        if self.fast_request is None:
            super()._begin_answer()
        elif self.unknown_head:
            self.header_cache.add(self.unknown_head, self.fast_request.head)
        # Further requests of the same packet have heads of their own.
        self.unknown_head = b""

    def on_body(self, body: bytes) -> None:
        """Take a part of the body."""
        if self.fast_request is None:
            super().on_body(body)
            return
        try:
            self.fast_request.reservation.reserve_small(len(body))
        except Problem as refusal:
            self.refusal = refusal
            raise
        self.fast_request.body.append(body)

    def _end_request(self) -> None:
        if self.fast_request is None:
            super()._end_request()
        else:
            self._answer(self.fast_request)

    def _answer(self, request: FastRequest) -> None:
        """Answer at once, or have the application do it if that takes long."""
        self.fast_request = None
        body = b"".join(request.body)
        is_answered = self._answer_fast(
            request.route, request.head, body, request.started
        )
        request.reservation.release()
        if is_answered:
            return
        super()._begin_answer()
        super().on_body(body)
        super()._end_request()

    def shutdown(self) -> None:
        """Close, after the answer to a request that is on its way in."""
        self.server_app.held.send()
        if self.fast_request is None:
            super().shutdown()
        else:
            self.is_last = True

    @property
    def is_answering(self) -> bool:
        """Whether a request was begun that has no answer yet."""
        return self.fast_request is not None or super().is_answering

    @property
    def is_answer_begun(self) -> bool:
        """Whether a part of the answer to the request on its way in was sent."""
        return self.fast_request is None and super().is_answer_begun

    def _ignore_upgrade(self, rest: bytes) -> None:
        # The head that is parsed next is not the one that was sent.
        self.unknown_head = b""
        super()._ignore_upgrade(rest)

    def _answered_from_cache(self, data: bytes) -> bool:
        """Answer a whole request at once if its head was parsed before.

        Clients repeat their heads byte for byte; parsing one again costs more than the
        prediction.
        """
        text = self.header_cache.head_of(data)
        head = self.header_cache.get(text)
        if head is None:
            self.unknown_head = text
            return False
        length, start = head.headers.length, len(text)
        if len(data) != start + length or not self._is_free():
            return False
        # What else makes it short was so when the head was parsed.
        route = self.server_app.state.fast_routes.get(head.address)
        if route is None or length > route.inline_bytes:
            return False
        if self.timeout_keep_alive_task is not None:
            self._unset_keepalive_if_required()
        # Nothing is reserved: the body is no longer than what the transport read.
        is_answered = self._answer_fast(route, head, data[start:], perf_counter())
        self.is_long = not is_answered
        return is_answered

    def _is_free(self) -> bool:
        """Whether no other answer is under way, and the client reads."""
        if self.fast_request is not None or self.flow.write_paused:
            return False
        return self.cycle is None or self.cycle.response_complete

    def _admitted(self) -> FastRequest | None:
        """The request, if it is a prediction that nothing has to wait for."""
        address = self.url
        if self.is_long:
            self.is_long = False
            return None
        if address not in self.server_app.state.fast_routes:
            return None
        if (
            self.parser.get_method() != b"POST"
            or self.parser.get_http_version() != "1.1"
        ):
            return None
        # A client that asks first is answered by the application.
        if not self._is_free() or self.expect_100_continue:
            return None
        headers = read_headers(self.headers)
        route = self.server_app.fast_route(address, headers)
        if route is None:
            return None
        if address == b"/invocations" and headers.model is not None:
            return None
        # Whoever is not let in is refused before the body, and fills no cache.
        admission = self.server_app.admission
        if admission is not None and not admission.is_known(headers.credential):
            return None
        keeps_alive = self.parser.should_keep_alive()
        head = RequestHead(address, self.headers, headers, keeps_alive)
        reservation = self.server_app.bodies.reservation()
        return FastRequest(route, head, perf_counter(), [], reservation)

    def _answer_fast(
        self, route: Route, head: RequestHead, body: bytes, started: float
    ) -> bool:
        """Answer; False, and nothing was done, if that would take long."""
        app = self.server_app
        answer = app.answer_at_once(route, head, body, started)
        if answer is None:
            return False
        response = answer.response
        default = self.server_state.default_headers
        known, common = self.common
        if known is not default:
            common = _lines(default)
            type(self).common = default, common
        closes = self.is_last or app.is_draining or not head.keeps_alive
        data = (
            b"%b%b%bcontent-type: %b\r\ncontent-length: %d\r\nx-request-id: %b\r\n%b%b"
            % (
                STATUS_LINE[response.status],
                common,
                _lines(response.headers) if response.headers else b"",
                response.content_type,
                len(response.body),
                answer.request_id.encode(),
                b"connection: close\r\n\r\n" if closes else b"\r\n",
                response.body,
            )
        )
        self.server_state.total_requests += 1
        self.since = self.loop.time()
        is_alone = len(self.connections) == 1
        app.held.hold(self.transport, data, closes, answer, is_alone)
        return True


def _lines(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The lines of some headers."""
    return b"".join(b"%b: %b\r\n" % header for header in headers)
