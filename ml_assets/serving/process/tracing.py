"""The model server with a span for each prediction request.

It is made instead of the plain one where a collector is named, so that the plain one
has nothing to do with traces.
"""

import logging
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from typing_extensions import override

from ml_assets.core.log_format import context
from ml_assets.core.tracing.otlp import Sender
from ml_assets.core.tracing.sampling import Parent, Sampler, parent_of
from ml_assets.core.tracing.span_queue import SpanQueue
from ml_assets.core.tracing.spans import Attribute, Span
from ml_assets.serving.http.app import ModelServer, Scope, Send
from ml_assets.serving.http.body import Receive
from ml_assets.serving.http.fast_path import Express, ExpressProtocol
from ml_assets.serving.requests.messages import Headers, Response, Route
from ml_assets.serving.metrics.collector import Metrics
from ml_assets.serving.models.ids import PredictionIds
from ml_assets.serving.logs import log, logger
from ml_assets.serving.settings import ServerSettings

_PATHS = {
    "predict": "/models/{model}/predict",
    "infer": "/v2/models/{model}/infer",
    "invocations": "/invocations",
}
_NOTES = "ml_assets.notes"


class Notes:
    """What is known of one request while it is answered."""

    __slots__ = (
        *("trace", "span", "parent", "started", "ended"),
        *("route", "response", "status", "request_id"),
    )

    def __init__(self, parent: Parent | None) -> None:
        self.parent = parent
        self.trace = parent.trace if parent else os.urandom(16).hex()
        self.span = os.urandom(8).hex()
        self.started = self.ended = time.time_ns()
        self.route: Route | None = None
        self.response: Response | None = None
        self.status = 0
        self.request_id = b""


class TracedServer(ModelServer):
    """Answers as `ModelServer` does, and tells the collector of it."""

    def __init__(
        self, settings: ServerSettings, metrics: Metrics, ids: PredictionIds
    ) -> None:
        super().__init__(settings, metrics, ids)
        self._sampler = _sampler()
        self._sender = Sender("ml-assets-server", logger)
        self._spans = SpanQueue(_span, self._sender.send, self._lose)
        self._express_notes: Notes | None = None
        log("requests are traced", share=self._sampler.share)

    @override
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, and note what its span says."""
        notes = self.notes_of(scope["headers"])
        if notes is None:
            await super().__call__(scope, receive, send)
            return
        scope[_NOTES] = notes

        async def noted(message: Any) -> None:
            if message["type"] == "http.response.start":
                notes.status = message["status"]
                notes.request_id = dict(message["headers"])[b"x-request-id"]
            await send(message)

        with self.telling(notes):
            await super().__call__(scope, receive, noted)

    @override
    async def _answer(
        self, route: Route, scope: Scope, *rest: Any, **more: Any
    ) -> Response:
        notes: Notes | None = scope.get(_NOTES)
        if notes is not None:
            notes.route = route
        response = await super()._answer(route, scope, *rest, **more)
        if notes is not None:
            notes.response = response
        return response

    @override
    def answer_at_once(
        self, route: Route, headers: Headers, body: bytes, started: float
    ) -> tuple[Response, bytes]:
        """Answer a prediction, and note what its span says."""
        response, request_id = super().answer_at_once(route, headers, body, started)
        notes = self._express_notes
        if notes is not None:
            notes.route, notes.response = route, response
            notes.status, notes.request_id = response.status, request_id
        return response, request_id

    def notes_of(self, headers: Iterable[tuple[bytes, bytes]]) -> Notes | None:
        """Notes of a request that is to be traced, else None."""
        for name, value in headers:
            if name == b"traceparent":
                parent = parent_of(value)
                if parent is not None:
                    return Notes(parent) if self._sampler.follows(parent) else None
        return Notes(None) if self._sampler.begins() else None

    @contextmanager
    def telling(self, notes: Notes) -> Iterator[None]:
        """Send the span of the request that is answered in the block."""
        token = context.set({"trace.id": notes.trace, "span.id": notes.span})
        try:
            yield
        finally:
            context.reset(token)
        # Nothing is told of a client that left, or of what is no prediction.
        if notes.status and notes.route is not None and notes.route.model is not None:
            notes.ended = time.time_ns()
            self._spans.put(notes)

    @contextmanager
    def express_telling(self, notes: Notes) -> Iterator[None]:
        """The same for a request that `answer_at_once` answers in the block."""
        self._express_notes = notes
        try:
            with self.telling(notes):
                yield
        finally:
            self._express_notes = None

    @override
    def close(self) -> None:
        """Stop the threads, and send the last spans."""
        super().close()
        self._spans.close()
        self._sender.close()

    def _lose(self, count: int) -> None:
        self.metrics.spans_lost += count


class TracedProtocol(ExpressProtocol):
    """One connection, whose predictions are traced on the short way too."""

    @override
    def _answer_express(self, express: Express) -> None:
        app = self.server_app
        if isinstance(app, TracedServer):
            notes = app.notes_of(express.head.lines)
            if notes is not None:
                with app.express_telling(notes):
                    super()._answer_express(express)
                return
        super()._answer_express(express)


def _sampler() -> Sampler:
    try:
        return Sampler.load()
    except ValueError as error:
        # As OpenTelemetry wants it: a wrong setting of traces stops no service.
        log(f"{error}; every request is traced", logging.WARNING)
        return Sampler()


def _span(notes: Notes) -> Span:
    route, response = notes.route, notes.response
    if route is None:
        raise AssertionError("only what a route answered is told")
    series = response.series if response and response.series else route.series
    name, model, version, arm = series.labels
    path = _PATHS[name]
    attributes: dict[str, Attribute] = {
        "http.request.method": route.method,
        "http.route": path,
        "http.response.status_code": notes.status,
        "ml_assets.route": name,
        "ml_assets.model": model,
        "ml_assets.version": version,
        "ml_assets.arm": arm,
        "ml_assets.rows": _rows(response),
        "ml_assets.request_id": notes.request_id.decode(),
    }
    failed = notes.status >= 500
    if failed:
        attributes["error.type"] = str(notes.status)
    return Span(
        notes.trace,
        notes.span,
        notes.parent.span if notes.parent else None,
        f"{route.method} {path}",
        notes.started,
        notes.ended,
        attributes,
        "server",
        error=f"status {notes.status}" if failed else None,
    )


def _rows(response: Response | None) -> int:
    if response is None:
        return 0
    return response.rows + sum(rows for _, rows in response.others)
