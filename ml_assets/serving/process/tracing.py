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

from ml_assets.core.logs import context
from ml_assets.core.tracing.otlp import Sender
from ml_assets.core.tracing.sampling import Parent, Sampler, parent_of
from ml_assets.core.tracing.spans import Attribute, Span, SpanQueue
from ml_assets.serving.http.app import ModelServer, Scope, Send
from ml_assets.serving.http.body import Receive
from ml_assets.serving.http.fast_path import FastPathProtocol
from ml_assets.serving.http.header_cache import RequestHead
from ml_assets.serving.http.held_answers import Answer
from ml_assets.serving.http.routes import Route
from ml_assets.serving.logs import log, logger
from ml_assets.serving.metrics.collector import Metrics
from ml_assets.serving.models.ids import PredictionIds
from ml_assets.serving.requests.messages import Response
from ml_assets.serving.settings import ServerSettings

_PATHS = {
    "predict": "/models/{model}/predict",
    "infer": "/v2/models/{model}/infer",
    "invocations": "/invocations",
}
_KEY = "ml_assets.trace"


class RequestTrace:
    """What the span of one request is made of, while it is answered."""

    __slots__ = (
        *("id", "span", "parent", "started", "ended"),
        *("route", "response", "status", "request_id"),
    )

    def __init__(self, parent: Parent | None) -> None:
        self.parent = parent
        self.id = parent.trace if parent else os.urandom(16).hex()
        self.span = os.urandom(8).hex()
        self.started = self.ended = time.time_ns()
        self.route: Route | None = None
        self.response: Response | None = None
        self.status = 0
        self.request_id = b""


class TracedServer(ModelServer):
    """Answers as `ModelServer` does, and sends a span of each prediction."""

    def __init__(
        self, settings: ServerSettings, metrics: Metrics, ids: PredictionIds
    ) -> None:
        super().__init__(settings, metrics, ids)
        self._sampler = _sampler()
        self._sender = Sender("ml-assets-server", logger)
        self._spans = SpanQueue(_span, self._sender.send, self._lose)
        self._fast_trace: RequestTrace | None = None
        log("requests are traced", share=self._sampler.share)

    @override
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, and record what its span needs."""
        trace = self.trace_of(scope["headers"])
        if trace is None:
            await super().__call__(scope, receive, send)
            return
        scope[_KEY] = trace

        async def recorded(message: Any) -> None:
            if message["type"] == "http.response.start":
                trace.status = message["status"]
                trace.request_id = dict(message["headers"])[b"x-request-id"]
            await send(message)

        with self.traced(trace):
            await super().__call__(scope, receive, recorded)

    @override
    async def _answer(
        self, route: Route, scope: Scope, *rest: Any, **more: Any
    ) -> Response:
        trace: RequestTrace | None = scope.get(_KEY)
        if trace is not None:
            trace.route = route
        response = await super()._answer(route, scope, *rest, **more)
        if trace is not None:
            trace.response = response
        return response

    @override
    def answer_at_once(
        self, route: Route, head: RequestHead, body: bytes, started: float
    ) -> Answer | None:
        """Answer a prediction, and record what its span needs."""
        answer = super().answer_at_once(route, head, body, started)
        trace = self._fast_trace
        if trace is not None and answer is not None:
            trace.route, trace.response = route, answer.response
            trace.status = answer.response.status
            trace.request_id = answer.request_id.encode()
        return answer

    def trace_of(self, headers: Iterable[tuple[bytes, bytes]]) -> RequestTrace | None:
        """The trace of a request that is sampled, else None."""
        for name, value in headers:
            if name == b"traceparent":
                parent = parent_of(value)
                if parent is not None:
                    return (
                        RequestTrace(parent) if self._sampler.follows(parent) else None
                    )
        return RequestTrace(None) if self._sampler.begins() else None

    @contextmanager
    def traced(self, trace: RequestTrace) -> Iterator[None]:
        """Send the span of the request that is answered in the block."""
        token = context.set({"trace.id": trace.id, "span.id": trace.span})
        try:
            yield
        finally:
            context.reset(token)
        # There is no span for a client that left, or for what is no prediction.
        if trace.status and trace.route is not None and trace.route.model is not None:
            trace.ended = time.time_ns()
            self._spans.put(trace)

    @contextmanager
    def fast_traced(self, trace: RequestTrace) -> Iterator[None]:
        """The same for a request that `answer_at_once` answers in the block."""
        self._fast_trace = trace
        try:
            with self.traced(trace):
                yield
        finally:
            self._fast_trace = None

    @override
    def close(self) -> None:
        """Stop the threads, and send the last spans."""
        super().close()
        self._spans.close()
        self._sender.close()

    def _lose(self, count: int) -> None:
        self.metrics.spans_lost += count


class TracedProtocol(FastPathProtocol):
    """One connection, whose predictions are traced on the fast path too."""

    @override
    def _answer_fast(
        self, route: Route, head: RequestHead, body: bytes, started: float
    ) -> bool:
        app = self.server_app
        if isinstance(app, TracedServer):
            trace = app.trace_of(head.raw_headers)
            if trace is not None:
                with app.fast_traced(trace):
                    return super()._answer_fast(route, head, body, started)
        return super()._answer_fast(route, head, body, started)


def _sampler() -> Sampler:
    try:
        return Sampler.load()
    except ValueError as error:
        # As OpenTelemetry wants it: a wrong setting of traces stops no service.
        log(f"{error}; every request is traced", logging.WARNING)
        return Sampler()


def _span(trace: RequestTrace) -> Span:
    route, response = trace.route, trace.response
    if route is None:
        raise AssertionError("only what a route answered has a span")
    series = response.series if response and response.series else route.series
    name, model, version, arm = series.labels
    path = _PATHS[name]
    attributes: dict[str, Attribute] = {
        "http.request.method": route.method,
        "http.route": path,
        "http.response.status_code": trace.status,
        "ml_assets.route": name,
        "ml_assets.model": model,
        "ml_assets.version": version,
        "ml_assets.arm": arm,
        "ml_assets.rows": _rows(response),
        "ml_assets.request_id": trace.request_id.decode(),
    }
    failed = trace.status >= 500
    if failed:
        attributes["error.type"] = str(trace.status)
    return Span(
        trace.id,
        trace.span,
        trace.parent.span if trace.parent else None,
        f"{route.method} {path}",
        trace.started,
        trace.ended,
        attributes,
        "server",
        error=f"status {trace.status}" if failed else None,
    )


def _rows(response: Response | None) -> int:
    if response is None:
        return 0
    return response.rows + sum(rows for _, rows in response.others)
