"""A collector of this process: takes traces by OTLP over HTTP, or refuses them."""

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from ml_assets_tests.kits.patience import PATIENCE


class Collected:
    """One span as it came, with its ids in hexadecimal."""

    def __init__(self, span: Any, resource: dict[str, Any]) -> None:
        self.raw = span
        self.resource = resource
        self.trace = span.trace_id.hex()
        self.id = span.span_id.hex()
        self.parent = span.parent_span_id.hex()
        self.name = span.name
        self.start = span.start_time_unix_nano
        self.end = span.end_time_unix_nano
        self.attributes = values(span.attributes)
        self.events = [
            (item.name, item.time_unix_nano, values(item.attributes))
            for item in span.events
        ]
        self.links = [
            (item.trace_id.hex(), item.span_id.hex(), values(item.attributes))
            for item in span.links
        ]
        self.is_error = span.status.code == 2
        self.error = span.status.message


def values(attributes: Any) -> dict[str, Any]:
    return {
        item.key: getattr(item.value, item.value.WhichOneof("value"))
        for item in attributes
    }


class Collector:
    """The spans received, and the answers: a status a request, the last for good."""

    def __init__(self) -> None:
        self.statuses = [200]
        self.headers: dict[str, str] = {}
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.spans: list[Collected] = []
        self.changed = threading.Condition()
        self.url = ""

    def take(self, path: str, headers: dict[str, str], body: bytes) -> int:
        if headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        parsed = ExportTraceServiceRequest.FromString(body)
        with self.changed:
            self.requests.append((path, headers))
            status = self.statuses[0]
            if len(self.statuses) > 1:
                self.statuses.pop(0)
            if status == 200:
                for part in parsed.resource_spans:
                    resource = values(part.resource.attributes)
                    for scope in part.scope_spans:
                        self.spans += [Collected(i, resource) for i in scope.spans]
            self.changed.notify_all()
        return status

    def await_spans(self, count: int) -> list[Collected]:
        with self.changed:
            came = self.changed.wait_for(lambda: len(self.spans) >= count, PATIENCE)
            assert came, f"{len(self.spans)} spans came, expected {count}"
            return list(self.spans)

    def await_requests(self, count: int) -> None:
        with self.changed:
            came = self.changed.wait_for(lambda: len(self.requests) >= count, PATIENCE)
            assert came, f"{len(self.requests)} requests came, expected {count}"


@contextmanager
def collecting() -> Iterator[Collector]:
    """A collector on a free port."""
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            given = {name.lower(): value for name, value in self.headers.items()}
            assert given["content-type"] == "application/x-protobuf"
            status = collector.take(self.path, given, body)
            answer = ExportTraceServiceResponse().SerializeToString()
            self.send_response(status)
            for name, value in collector.headers.items():
                self.send_header(name, value)
            self.send_header("content-type", "application/x-protobuf")
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    collector.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield collector
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    """A collector that the environment names."""
    with collecting() as found:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", found.url)
        yield found
