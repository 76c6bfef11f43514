"""Spans to a collector, by OTLP over HTTP. The only module that sees OpenTelemetry.

It is imported where an endpoint is set, and nowhere else.
"""

import logging
from collections.abc import Sequence

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link as OtelLink
from opentelemetry.trace import SpanContext, SpanKind, TraceFlags
from opentelemetry.trace.status import Status, StatusCode

from ml_assets import __version__
from ml_assets.core.logs import write
from ml_assets.core.tracing.spans import Link, Span

_SAMPLED = TraceFlags(TraceFlags.SAMPLED)
_KINDS = {"internal": SpanKind.INTERNAL, "server": SpanKind.SERVER}
_SCOPE = InstrumentationScope("ml_assets", __version__)


class Sender:
    """Sends spans; that a collector does not accept them is logged once.

    The standard variables apply: ``OTEL_EXPORTER_OTLP_*`` for the endpoint, and
    ``OTEL_SERVICE_NAME`` and ``OTEL_RESOURCE_ATTRIBUTES`` for the resource.

    Parameters
    ----------
    service
        ``service.name``, unless the environment names one.
    logger
        Logs that a collector is away.
    """

    def __init__(self, service: str, logger: logging.Logger) -> None:
        ours = {"service.name": service, "service.version": __version__}
        self._resource = Resource(ours).merge(OTELResourceDetector().detect())
        self._logger = logger
        self._reason = _LastMessage()
        library = logging.getLogger("opentelemetry")
        # It would write several lines for each batch that is not accepted.
        library.handlers, library.propagate = [self._reason], False
        self._exporter = OTLPSpanExporter()
        self._is_away = False

    def send(self, spans: Sequence[Span]) -> bool:
        """Send `spans`; False if they were not accepted within the time-out."""
        found = [self._readable(span) for span in spans]
        accepted = self._exporter.export(found) is SpanExportResult.SUCCESS
        if accepted and self._is_away:
            write(self._logger, "the collector takes traces again")
        elif not accepted and not self._is_away:
            write(
                self._logger,
                "the collector does not take traces",
                logging.WARNING,
                reason=self._reason.text,
            )
        self._is_away = not accepted
        return accepted

    def close(self) -> None:
        """Give up what is being sent."""
        self._exporter.shutdown()  # type: ignore[no-untyped-call]

    def _readable(self, span: Span) -> ReadableSpan:
        parent = None
        if span.parent is not None:
            parent = _context(span.trace, span.parent, span.kind == "server")
        failed = Status(StatusCode.ERROR, span.error)
        return ReadableSpan(
            span.name,
            context=_context(span.trace, span.id),
            parent=parent,
            resource=self._resource,
            attributes=span.attributes,
            events=[
                Event(item.name, item.attributes, timestamp=item.time)
                for item in span.events
            ],
            links=[_link(item) for item in span.links],
            kind=_KINDS[span.kind],
            status=Status() if span.error is None else failed,
            start_time=span.start,
            end_time=span.end,
            instrumentation_scope=_SCOPE,
        )


def _context(trace: str, span: str, is_remote: bool = False) -> SpanContext:
    return SpanContext(int(trace, 16), int(span, 16), is_remote, _SAMPLED)


def _link(link: Link) -> OtelLink:
    return OtelLink(_context(link.trace, link.span, True), link.attributes)


class _LastMessage(logging.Handler):
    """Keeps the last message of the library."""

    text = ""

    def emit(self, record: logging.LogRecord) -> None:
        self.text = record.getMessage()
