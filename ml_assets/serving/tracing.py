"""The model server with a span for each prediction request.

It is made instead of the plain one where a collector is named, so that the plain one
has nothing to do with traces.
"""

import logging
import os
import time
from typing import Any

from ml_assets.serving.app import ModelServer, Scope, Send
from ml_assets.serving.body import Receive
from ml_assets.serving.ids import PredictionIds
from ml_assets.serving.logs import log, logger
from ml_assets.serving.messages import Response, Route
from ml_assets.serving.metrics import Metrics
from ml_assets.serving.settings import ServerSettings
from ml_assets.telemetry.ecs import context
from ml_assets.telemetry.otlp import Sender
from ml_assets.telemetry.sampling import Parent, Sampler, parent_of
from ml_assets.telemetry.spanqueue import SpanQueue
from ml_assets.telemetry.spans import Attribute, Span

_PATHS = {
    "predict": "/models/{model}/predict",
    "infer": "/v2/models/{model}/infer",
    "invocations": "/invocations",
}
_NOTES = "ml_assets.notes"


class TracedServer(ModelServer):
    """Answers as `ModelServer` does, and tells the collector of it."""

    def __init__(
        self, settings: ServerSettings, metrics: Metrics, ids: PredictionIds
    ) -> None:
        super().__init__(settings, metrics, ids)
        self._sampler = _sampler()
        self._sender = Sender("ml-assets-server", logger)
        self._spans = SpanQueue(self._sender.send, self._lose)
        log("requests are traced", share=self._sampler.share)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, and note what its span says."""
        parent = _parent(scope)
        trace = parent.trace if parent else os.urandom(16).hex()
        if not self._sampler.takes(trace, parent):
            await super().__call__(scope, receive, send)
            return
        span = os.urandom(8).hex()
        notes: dict[str, Any] = {}
        scope[_NOTES] = notes

        async def noted(message: Any) -> None:
            if message["type"] == "http.response.start":
                notes["status"] = message["status"]
                notes["headers"] = message["headers"]
            await send(message)

        token = context.set({"trace.id": trace, "span.id": span})
        started = time.time_ns()
        try:
            await super().__call__(scope, receive, noted)
        finally:
            context.reset(token)
        # Nothing is told of a client that left, or of what is no prediction.
        if "route" in notes and "status" in notes:
            ended = time.time_ns()
            self._spans.put(_span(trace, span, parent, started, ended, notes))

    async def _answer(
        self, route: Route, scope: Scope, *rest: Any, **more: Any
    ) -> Response:
        notes = scope.get(_NOTES)
        if notes is not None and route.model is not None:
            notes["route"] = route
        response = await super()._answer(route, scope, *rest, **more)
        if notes is not None:
            notes["response"] = response
        return response

    def express(self, address: bytes, length: int) -> Route | None:
        """None: what is traced goes the ordinary way."""
        return None

    def close(self) -> None:
        """Stop the threads, and send the last spans."""
        super().close()
        self._spans.close()
        self._sender.close()

    def _lose(self, count: int) -> None:
        self.metrics.spans_lost += count


def _sampler() -> Sampler:
    try:
        return Sampler.load()
    except ValueError as error:
        # As OpenTelemetry wants it: a wrong setting of traces stops no service.
        log(f"{error}; every request is traced", logging.WARNING)
        return Sampler()


def _parent(scope: Scope) -> Parent | None:
    for name, value in scope["headers"]:
        if name == b"traceparent":
            return parent_of(value)
    return None


def _span(
    trace: str,
    span: str,
    parent: Parent | None,
    started: int,
    ended: int,
    notes: dict[str, Any],
) -> Span:
    route: Route = notes["route"]
    response: Response | None = notes.get("response")
    status: int = notes["status"]
    series = response.series if response and response.series else route.series
    name, model, version, arm = series.labels
    path = _PATHS[name]
    attributes: dict[str, Attribute] = {
        "http.request.method": route.method,
        "http.route": path,
        "http.response.status_code": status,
        "ml_assets.route": name,
        "ml_assets.model": model,
        "ml_assets.version": version,
        "ml_assets.arm": arm,
        "ml_assets.rows": _rows(response),
        "ml_assets.request_id": dict(notes["headers"])[b"x-request-id"].decode(),
    }
    failed = status >= 500
    if failed:
        attributes["error.type"] = str(status)
    return Span(
        trace,
        span,
        parent.span if parent else None,
        f"{route.method} {path}",
        started,
        ended,
        attributes,
        "server",
        error=f"status {status}" if failed else None,
    )


def _rows(response: Response | None) -> int:
    if response is None:
        return 0
    return response.rows + sum(rows for _, rows in response.others)
