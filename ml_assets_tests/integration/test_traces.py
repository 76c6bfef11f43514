"""Traces of real processes, as a collector gets them or does not."""

import json
import logging
import signal
import socket
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from ml_assets.core.tracing.otlp import Sender
from ml_assets.observability.dagster_records import span_id_of, trace_id_of
from ml_assets.observability.exporter.run_traces import RunTracer
from ml_assets.state.versions import Versions
from ml_assets_tests.conftest import failure_of
from ml_assets_tests.integration.serving.conftest import storage, versions
from ml_assets_tests.integration.test_exporter import exporting, until
from ml_assets_tests.kits import exporter as exporter_kit
from ml_assets_tests.kits.otlp import Collector, collector
from ml_assets_tests.kits.processes import await_true
from ml_assets_tests.kits.serving import Server

__all__ = ["collector", "storage", "versions"]  # fixtures
pytestmark = pytest.mark.slow

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
ROW = {"age": 41.0, "hours": 40, "married": True, "sex": "Male"}


@pytest.fixture
def silent() -> Iterator[str]:
    """A collector that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def ask(server: Server, **headers: str) -> Any:
    request = urllib.request.Request(
        f"http://127.0.0.1:{server.port}/models/census/predict",
        json.dumps({"rows": [ROW]}).encode(),
        {"content-type": "application/json", **headers},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def lost(server: Server) -> float:
    text = server.get("/metrics", server.metrics_port)[1].decode()
    (line,) = [i for i in text.splitlines() if i.startswith("ml_assets_spans_lost_t")]
    return float(line.split()[1])


def test_a_server_sends_what_it_answered_also_just_before_it_stops(
    storage: Path, collector: Collector
) -> None:
    with Server(storage) as server:
        server.wait_for("plan loaded")
        first = ask(server, traceparent=f"00-{TRACE}-{PARENT}-01")
        collector.await_spans(1)
        ask(server)
        assert server.stop() == 0
    one, two = collector.await_spans(2)
    assert (one.trace, one.parent) == (TRACE, PARENT)
    assert one.attributes["ml_assets.request_id"] == first["request_id"]
    assert one.attributes["ml_assets.version"] == first["version"]
    assert two.parent == ""
    assert {path for path, _ in collector.requests} == {"/v1/traces"}


@pytest.mark.parametrize("kind", ["closed", "silent"])
def test_a_collector_that_is_away_costs_spans_and_nothing_else(
    storage: Path, silent: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "0.5")
    endpoint = silent if kind == "silent" else "http://127.0.0.1:9"
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
    with Server(storage) as server:
        server.wait_for("plan loaded")
        for _ in range(200):
            ask(server)
        await_true(lambda: lost(server) > 0, "lost spans are counted", 30)
        server.logged("the collector does not take traces")
        assert server.stop() == 0


def test_no_answer_waits_for_the_collector(
    storage: Path, silent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Longer than the client waits: an answer behind the collector's would not come.
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "3600")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", silent)
    with Server(storage) as server:
        server.wait_for("plan loaded")
        for _ in range(200):
            ask(server)


def test_training_and_deployment_are_traces_that_are_linked(
    make_spec: Callable[..., Any],
    run_job: Callable[..., dg.ExecuteInProcessResult],
    instance: dg.DagsterInstance,
    collector: Collector,
    home: Path,
) -> None:
    spec = make_spec()
    trained = run_job(spec, "train", model="churn")
    assert trained.success, failure_of(trained)
    (version,) = Versions().names("churn")
    deployed = run_job(spec, "deploy", model="churn")
    assert deployed.success, failure_of(deployed)
    sender = Sender("ml-assets-runs", logging.getLogger(__name__))
    assert RunTracer(instance, sender.send).send_ended() == 2
    roots = {span.trace: span for span in collector.spans if not span.parent}
    training = roots[trace_id_of(trained.run_id)]
    deployment = roots[trace_id_of(deployed.run_id)]
    for root in (training, deployment):
        assert root.attributes["ml_assets.model"] == "churn"
        assert root.attributes["ml_assets.version"] == version
    ((trace, span, _),) = deployment.links
    assert (trace, span) == (trace_id_of(trained.run_id), span_id_of(trained.run_id))
    names = {span.name for span in collector.spans if span.trace == training.trace}
    assert {"churn__raw", "churn__features", "churn__model"} < names
    for result in (trained, deployed):
        for event in instance.all_logs(
            result.run_id, of_type=dg.DagsterEventType.STEP_START
        ):
            found = event.dagster_event
            assert found is not None and found.step_key is not None
            id_ = span_id_of(result.run_id, found.step_key, 1)
            (step,) = [span for span in collector.spans if span.id == id_]
            assert step.start == round(event.timestamp * 1e6) * 1000


def test_the_exporter_sends_runs_that_ended_and_writes_json_lines(
    collector: Collector, tmp_path: Path
) -> None:
    (tmp_path / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        first = exporter_kit.run(instance, "good", exporter_kit.raw)
        with exporting(tmp_path) as (process, address):
            until(address, lambda found: sent(found) == 1)
            second = exporter_kit.run(instance, "bad", exporter_kit.broken)
            until(address, lambda found: sent(found) == 2)
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0
            assert process.stdout is not None
            logged = [json.loads(line) for line in process.stdout]
    assert {line["event.dataset"] for line in logged} == {"ml-assets.exporter"}
    assert logged[-1]["message"] == "exporter stopped"
    roots = {span.trace: span for span in collector.spans if not span.parent}
    assert list(roots) == [trace_id_of(first), trace_id_of(second)]
    assert [span.is_error for span in roots.values()] == [False, True]


def sent(found: exporter_kit.Samples) -> float | None:
    return exporter_kit.value(found, "ml_assets_traces_sent_total")
