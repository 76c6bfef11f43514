"""Requests as a collector gets them."""

import asyncio
import io
import json
import logging
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from ml_assets.core.logs import EcsFormatter
from ml_assets.core.tracing import sampling
from ml_assets.core.tracing import spans as spans_module
from ml_assets.core.tracing.sampling import Sampler, parent_of
from ml_assets.core.tracing.spans import Span, SpanQueue
from ml_assets.serving.http.served_state import ServedState
from ml_assets.serving.logs import logger
from ml_assets.serving.metrics.collector import Metrics
from ml_assets.serving.models.ids import PredictionIds
from ml_assets.serving.process.tracing import TracedServer
from ml_assets.serving.settings import ServerSettings
from ml_assets_tests.kits.app import ROW, FakeRuntime, call, served
from ml_assets_tests.kits.otlp import Collector, collector

__all__ = ["collector"]  # a fixture

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PREDICT = "/models/census/predict"


@pytest.fixture
def app(collector: Collector) -> Iterator[TracedServer]:
    with serving(served()) as made:
        yield made


@contextmanager
def serving(model: Any) -> Iterator[TracedServer]:
    made = TracedServer(ServerSettings(), Metrics(), PredictionIds())
    made.state = ServedState({"census": model}, frozenset(), True, made.metrics)
    yield made
    made.close()


def predict(app: TracedServer, rows: int = 1, **headers: str) -> Any:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return asyncio.run(call(app, PREDICT, {"rows": [ROW] * rows}, headers=given))


def test_a_prediction_is_a_server_span_of_its_callers_trace(
    app: TracedServer, collector: Collector
) -> None:
    before = time.time_ns()
    answer = predict(app, 3, traceparent=f"00-{TRACE}-{PARENT}-01", x_request_id="r-17")
    after = time.time_ns()
    assert answer.status == 200
    (span,) = collector.await_spans(1)
    assert (span.trace, span.parent) == (TRACE, PARENT)
    assert span.raw.kind == 2
    assert span.name == "POST /models/{model}/predict"
    assert before <= span.start <= span.end <= after
    assert not span.is_error
    assert span.attributes == {
        "http.request.method": "POST",
        "http.route": "/models/{model}/predict",
        "http.response.status_code": 200,
        "ml_assets.route": "predict",
        "ml_assets.model": "census",
        "ml_assets.version": "v1",
        "ml_assets.arm": "live",
        "ml_assets.rows": 3,
        "ml_assets.request_id": "r-17",
    }
    assert span.resource["service.name"] == "ml-assets-server"


def test_without_a_caller_a_trace_begins_here(
    app: TracedServer, collector: Collector
) -> None:
    predict(app)
    predict(app)
    first, second = collector.await_spans(2)
    assert first.parent == second.parent == ""
    assert first.trace != second.trace
    assert first.id != second.id


def test_a_caller_that_does_not_sample_is_not_traced(
    app: TracedServer, collector: Collector
) -> None:
    assert predict(app, traceparent=f"00-{TRACE}-{PARENT}-00").status == 200
    predict(app, traceparent=f"00-{TRACE}-{PARENT}-01")
    (span,) = collector.await_spans(1)
    assert span.parent == PARENT


def test_a_refused_request_is_no_error_of_the_server(
    app: TracedServer, collector: Collector
) -> None:
    assert asyncio.run(call(app, PREDICT, {"rows": [{"age": "x"}]})).status == 422
    (span,) = collector.await_spans(1)
    assert span.attributes["http.response.status_code"] == 422
    assert span.attributes["ml_assets.rows"] == 0
    assert not span.is_error


def test_a_failure_is_an_error_and_its_log_line_names_trace_and_request(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken(FakeRuntime):
        def predict_one(self, values: Any) -> float:
            raise RuntimeError("no")

    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(EcsFormatter("ml-assets.server"))
    monkeypatch.setattr(logger, "handlers", [handler])
    with serving(served(runtime=Broken())) as app:
        answer = predict(app, traceparent=f"00-{TRACE}-{PARENT}-01")
    assert answer.status == 500
    (span,) = collector.await_spans(1)
    assert span.is_error
    assert span.attributes["error.type"] == "500"
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    (line,) = [line for line in lines if line["message"] == "a request failed"]
    assert (line["trace.id"], line["span.id"]) == (TRACE, span.id)
    assert line["http.request.id"] == answer.headers["x-request-id"]


@pytest.mark.parametrize("path", ["/models", "/models/census", "/v2/health/live"])
def test_what_is_no_prediction_has_no_span(
    app: TracedServer, collector: Collector, path: str
) -> None:
    assert asyncio.run(call(app, path)).status == 200
    predict(app)
    (span,) = collector.await_spans(1)
    assert span.attributes["ml_assets.route"] == "predict"


@pytest.mark.parametrize(
    "header",
    [
        "",
        "00",
        f"00-{TRACE}-{PARENT}",
        f"ff-{TRACE}-{PARENT}-01",
        f"00-{'0' * 32}-{PARENT}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{PARENT}-01",
        f"00-{TRACE}-{PARENT}-01-more",
        f"00-{TRACE}-{PARENT}-01 ",
    ],
)
def test_what_is_no_traceparent_is_not_heeded(header: str) -> None:
    assert parent_of(header.encode()) is None


def test_a_later_version_of_traceparent_is_read_as_far_as_it_is_known() -> None:
    found = parent_of(f"01-{TRACE}-{PARENT}-03-more".encode())
    assert found == (TRACE, PARENT, True)


@pytest.mark.parametrize(
    "name, share, parent, is_sampled",
    [
        ("always_off", "", b"01", False),
        ("parentbased_always_off", "", b"01", True),
        ("parentbased_always_off", "", None, False),
        ("parentbased_always_on", "", b"00", False),
        ("always_on", "", b"00", True),
        ("traceidratio", "0.63", None, False),
        ("traceidratio", "0.65", None, True),
        ("traceidratio", "0.63", b"01", False),
        ("traceidratio", "0.65", b"00", True),
    ],
)
def test_the_sampler_is_the_one_that_the_environment_names(
    name: str,
    share: str,
    parent: bytes | None,
    is_sampled: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    environ = {"OTEL_TRACES_SAMPLER": name, "OTEL_TRACES_SAMPLER_ARG": share}
    found = parent and parent_of(f"00-{TRACE}-{PARENT}-".encode() + parent)
    # The last half of the trace's id is at 0.637 of its range.
    monkeypatch.setattr(sampling, "random", lambda: 0.637)
    sampler = Sampler.load(environ)
    assert (sampler.follows(found) if found else sampler.begins()) is is_sampled


@pytest.mark.parametrize(
    "environ, said",
    [
        ({"OTEL_TRACES_SAMPLER": "some"}, "found 'some'"),
        (
            {"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "2"},
            "a share from 0 to 1, found '2'",
        ),
    ],
)
def test_a_wrong_sampler_is_named_and_stops_no_server(
    environ: dict[str, str],
    said: str,
    collector: Collector,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(ValueError, match=said):
        Sampler.load(environ)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    with serving(served()) as app:
        predict(app)
    assert len(collector.await_spans(1)) == 1


def test_spans_that_no_collector_takes_are_counted_and_cost_no_answer(
    app: TracedServer, collector: Collector
) -> None:
    collector.statuses = [400]
    assert predict(app).status == 200
    collector.await_requests(1)
    app.close()
    assert app.metrics.spans_lost == 1
    collected = {item.name: item for item in app.metrics.collect()}
    (sample,) = collected["ml_assets_spans_lost"].samples
    assert (sample.name, sample.value) == ("ml_assets_spans_lost_total", 1)


def span(number: int) -> Span:
    return Span(TRACE, f"{number + 1:016x}", None, "s", 0, 1, {})


def test_the_queue_is_bounded_and_nobody_waits_for_it() -> None:
    batches: list[int] = []
    lost: list[int] = []
    is_sending, goes_on = threading.Event(), threading.Event()

    def send(batch: Any) -> bool:
        is_sending.set()
        goes_on.wait()
        batches.append(len(batch))
        return True

    queue = SpanQueue(span, send, lost.append)
    queue.put(0)
    assert is_sending.wait(30)
    # The sender waits for us: a put that waited for the sender would never return.
    for number in range(spans_module.LIMIT + 100):
        queue.put(number)
    goes_on.set()
    queue.close()
    assert sum(lost) == 100
    assert sum(batches) == spans_module.LIMIT + 1
    assert max(batches) == spans_module.BATCH


def test_without_an_endpoint_the_server_does_not_know_opentelemetry() -> None:
    code = (
        "import sys; from ml_assets.serving.process import server;"
        "print(server._application()[0].__name__,"
        " [n for n in sys.modules if n.startswith('opentelemetry')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "ModelServer []"
