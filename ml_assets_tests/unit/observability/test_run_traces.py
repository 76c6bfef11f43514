"""Runs as a collector gets them, compared with the event log."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from ml_assets.core.tracing.otlp import Sender
from ml_assets.observability.dagster_records import span_id_of, trace_id_of
from ml_assets.observability.exporter import run_traces
from ml_assets.observability.exporter.run_traces import KEY, RunCursor, RunTracer
from ml_assets.observability.run_spans import RunSpans
from ml_assets.state.versions import Versions
from ml_assets_tests.kits.cli import record
from ml_assets_tests.kits.otlp import Collected, Collector, collector

__all__ = ["collector"]  # a fixture

VERSION = "20261125T000000Z"
OLDER = "20261124T000000Z"
SECOND = 1_000_000_000
# pragma: allowlist nextline secret
WEBHOOK = "https://hooks.slack.com/services/T0/B0/x0123"
tries: list[int] = []


@dg.asset(key=["churn", "raw"], retry_policy=dg.RetryPolicy(max_retries=2))
def raw(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    tries.append(1)
    if len(tries) == 1:
        raise ConnectionError(f"no answer of {WEBHOOK}")
    return dg.MaterializeResult(metadata={"dagster/row_count": 7, "city": "Ulm"})


@dg.asset(key=["churn", "model"], deps=[raw])
def model() -> dg.MaterializeResult:
    return dg.MaterializeResult(metadata={"version": VERSION})


@dg.asset_check(asset=model)
def gate() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=False, severity=dg.AssetCheckSeverity.WARN)


@dg.asset(key=["churn", "deployment"])
def deployment() -> dg.MaterializeResult:
    return dg.MaterializeResult(metadata={"version": OLDER, "challenger": VERSION})


@dg.asset(key=["churn", "broken"])
def broken() -> None:
    raise dg.Failure("the version did not load") from ValueError("bad bundle")


DEFINITIONS = dg.Definitions(
    assets=[raw, model, deployment, broken],
    asset_checks=[gate],
    jobs=[
        dg.define_asset_job("churn_train", ["churn/raw", "churn/model"]),
        dg.define_asset_job("churn_deploy", ["churn/deployment"]),
        dg.define_asset_job("churn_fail", ["churn/broken"]),
    ],
    executor=dg.in_process_executor,
)


def execute(instance: dg.DagsterInstance, job: str, **tags: str) -> str:
    tries.clear()
    definition = DEFINITIONS.resolve_job_def(job)
    return definition.execute_in_process(
        instance=instance, raise_on_error=False, tags=tags
    ).run_id


@pytest.fixture
def sender(collector: Collector) -> Iterator[Sender]:
    made = Sender("ml-assets-runs", logging.getLogger("ml_assets_tests.traces"))
    yield made
    made.close()


@pytest.fixture
def tracer(instance: dg.DagsterInstance, sender: Sender, home: Path) -> RunTracer:
    return RunTracer(instance, sender.send)


def moments(instance: dg.DagsterInstance, run: str) -> dict[tuple[str, Any], list[int]]:
    """Event and step to their times in nanoseconds, from the event log."""
    found: dict[tuple[str, Any], list[int]] = {}
    for entry in instance.all_logs(run):
        if entry.dagster_event is not None:
            about = (entry.dagster_event.event_type_value, entry.dagster_event.step_key)
            found.setdefault(about, []).append(round(entry.timestamp * 1e6) * 1000)
    return found


def root_of(spans: list[Collected]) -> Collected:
    (root,) = [span for span in spans if not span.parent]
    return root


def test_a_run_is_one_trace_with_a_span_for_each_attempt_of_each_step(
    instance: dg.DagsterInstance,
    collector: Collector,
    tracer: RunTracer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SLACK_WEBHOOK", WEBHOOK)
    run = execute(instance, "churn_train", model="churn")
    assert tracer.send_ended() == 1
    spans, log = collector.spans, moments(instance, run)
    assert {span.trace for span in spans} == {run.replace("-", "")}
    root = root_of(spans)
    assert root.name == "churn_train"
    assert root.id == span_id_of(run)
    assert root.start == log["PIPELINE_START", None][0]
    assert root.end == log["PIPELINE_SUCCESS", None][0]
    assert not root.is_error
    assert root.attributes == {
        "dagster.run_id": run,
        "dagster.job": "churn_train",
        "dagster.status": "SUCCESS",
        "ml_assets.model": "churn",
        "ml_assets.version": VERSION,
    }
    assert root.resource["service.name"] == "ml-assets-runs"
    children = [span for span in spans if span is not root]
    assert {span.parent for span in children} == {root.id}
    steps = {(s.name, s.attributes["dagster.attempt"]): s for s in children}
    assert len(steps) == len(children) == 4
    first, second = steps["churn__raw", 1], steps["churn__raw", 2]
    assert first.start == log["STEP_START", "churn__raw"][0]
    assert first.end == log["STEP_UP_FOR_RETRY", "churn__raw"][0]
    assert first.is_error and first.error == "ConnectionError: no answer of [redacted]"
    assert second.start == log["STEP_RESTARTED", "churn__raw"][0]
    assert second.end == log["STEP_SUCCESS", "churn__raw"][0]
    assert not second.is_error
    trained = steps["churn__model", 1]
    assert trained.start == log["STEP_START", "churn__model"][0]
    assert trained.end == log["STEP_SUCCESS", "churn__model"][0]
    assert trained.id == span_id_of(run, "churn__model", 1)


def test_materializations_and_checks_are_events_of_their_step(
    instance: dg.DagsterInstance, collector: Collector, tracer: RunTracer
) -> None:
    run = execute(instance, "churn_train")
    tracer.send_ended()
    log = moments(instance, run)
    found = {
        (span.name, name): (time, attributes)
        for span in collector.spans
        for name, time, attributes in span.events
    }
    time, attributes = found["churn__raw", "materialization"]
    assert time == log["ASSET_MATERIALIZATION", "churn__raw"][0]
    assert attributes == {"dagster.asset": "churn/raw", "dagster.row_count": 7}
    step = "churn__model_gate"
    time, attributes = found[step, "check"]
    assert time == log["ASSET_CHECK_EVALUATION", step][0]
    assert attributes == {
        "dagster.asset": "churn/model",
        "dagster.check": "gate",
        "dagster.passed": False,
        "dagster.severity": "WARN",
    }


def test_a_deployment_is_linked_to_the_training_of_the_version_it_brought(
    instance: dg.DagsterInstance, collector: Collector, tracer: RunTracer, home: Path
) -> None:
    trained = execute(instance, "churn_train", model="churn")
    Versions().save(record("churn", VERSION, run_id=trained))
    Versions().save(record("churn", OLDER, run_id="long ago"))
    deployed = execute(instance, "churn_deploy", model="churn", version=VERSION)
    assert tracer.send_ended() == 2
    roots = {span.trace: span for span in collector.spans if not span.parent}
    assert roots[trace_id_of(trained)].links == []
    about = {"ml_assets.link": "training", "dagster.run_id": trained}
    expected = [(trace_id_of(trained), span_id_of(trained), about)]
    assert roots[trace_id_of(deployed)].links == expected
    assert roots[trace_id_of(deployed)].attributes["ml_assets.version"] == VERSION


@pytest.mark.parametrize("version", ["../../../etc", "20200101T000000Z", ""])
def test_a_tag_that_names_no_version_links_to_nothing(
    instance: dg.DagsterInstance, collector: Collector, tracer: RunTracer, version: str
) -> None:
    execute(instance, "churn_deploy", model="churn", version=version)
    assert tracer.send_ended() == 1
    assert root_of(collector.spans).links == []


def test_a_failed_run_has_the_exception_that_caused_it(
    instance: dg.DagsterInstance, collector: Collector, tracer: RunTracer
) -> None:
    run = execute(instance, "churn_fail")
    tracer.send_ended()
    log = moments(instance, run)
    root = root_of(collector.spans)
    assert root.is_error
    assert root.attributes["dagster.status"] == "FAILURE"
    (step,) = [span for span in collector.spans if span.parent == root.id]
    assert step.is_error and step.error == "ValueError: bad bundle"
    ((name, time, attributes),) = step.events
    assert name == "exception"
    assert time == log["STEP_FAILURE", "churn__broken"][0]
    assert attributes["exception.type"] == "ValueError"
    assert attributes["exception.message"] == "ValueError: bad bundle"


def test_a_run_in_the_queue_has_a_span_of_its_wait() -> None:
    run = dg.DagsterRun("churn_deploy", status=dg.DagsterRunStatus.CANCELED)
    kinds = ["ENQUEUED", "DEQUEUED", "STARTING", "CANCELED"]
    entries = [
        dg.EventLogEntry(
            None, logging.INFO, "", run.run_id, float(second), None, run.job_name, event
        )
        for second, event in enumerate(
            dg.DagsterEvent(f"PIPELINE_{kind}", job_name=run.job_name) for kind in kinds
        )
    ]
    made = RunSpans(run)
    made.read(entries)
    root, queued, launched = made.spans()
    assert (root.start, root.end) == (0, 3 * SECOND)
    assert root.attributes["dagster.status"] == "CANCELED"
    assert root.error is None
    assert (queued.name, queued.start, queued.end) == ("queued", 0, SECOND)
    assert (launched.name, launched.start, launched.end) == (
        "launched",
        SECOND,
        3 * SECOND,
    )


def test_a_step_whose_process_died_ends_with_its_run() -> None:
    run = dg.DagsterRun("churn_train", status=dg.DagsterRunStatus.FAILURE)
    events = [
        dg.DagsterEvent("PIPELINE_START", job_name=run.job_name),
        dg.DagsterEvent("STEP_START", job_name=run.job_name, step_key="churn__raw"),
        dg.DagsterEvent("PIPELINE_FAILURE", job_name=run.job_name, message="pod lost"),
    ]
    made = RunSpans(run)
    made.read(
        dg.EventLogEntry(
            None, logging.INFO, "", run.run_id, 1.5 + n, None, run.job_name, event
        )
        for n, event in enumerate(events)
    )
    root, step = made.spans()
    assert (root.error, step.error) == ("pod lost", "the step did not end")
    assert step.end == root.end == round(3.5 * SECOND)


def test_each_run_is_sent_once_also_by_the_next_process(
    instance: dg.DagsterInstance, collector: Collector, sender: Sender, home: Path
) -> None:
    execute(instance, "churn_deploy")
    assert RunTracer(instance, sender.send).send_ended() == 1
    assert RunTracer(instance, sender.send).send_ended() == 0
    execute(instance, "churn_deploy")
    assert RunTracer(instance, sender.send).send_ended() == 1
    assert len({span.trace for span in collector.spans}) == 2


def test_a_process_killed_before_it_noted_sends_the_same_spans_again(
    instance: dg.DagsterInstance, collector: Collector, tracer: RunTracer
) -> None:
    run = execute(instance, "churn_train")
    tracer.send_ended()
    instance.daemon_cursor_storage.set_cursor_values({KEY: ""})
    tracer.send_ended()
    ids = [span.id for span in collector.spans]
    half = len(ids) // 2
    assert sorted(ids[:half]) == sorted(ids[half:])
    assert {span.trace for span in collector.spans} == {trace_id_of(run)}


def test_a_collector_that_is_away_gets_the_runs_when_it_is_back(
    instance: dg.DagsterInstance,
    collector: Collector,
    tracer: RunTracer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for _ in range(3):
        execute(instance, "churn_deploy")
    collector.statuses = [500]
    assert tracer.send_ended() == 0
    assert (tracer.refused, tracer.lost) == (2, 0)
    collector.statuses = [200]
    assert tracer.send_ended() == 3
    assert len({span.trace for span in collector.spans}) == 3
    assert (tracer.sent, tracer.lost) == (3, 0)


def test_a_run_that_alone_is_refused_does_not_hold_up_the_others(
    instance: dg.DagsterInstance, collector: Collector, tracer: RunTracer
) -> None:
    for _ in range(3):
        execute(instance, "churn_deploy")
    collector.statuses = [400, 200]
    assert tracer.send_ended() == 2
    assert tracer.lost == 1
    assert tracer.send_ended() == 0


def test_a_run_that_no_collector_took_for_a_day_is_given_up(
    instance: dg.DagsterInstance,
    collector: Collector,
    tracer: RunTracer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    execute(instance, "churn_deploy")
    collector.statuses = [400]
    assert tracer.send_ended() == 0
    monkeypatch.setattr(run_traces, "KEPT_SECONDS", 0.0)
    assert tracer.send_ended() == 0
    assert tracer.lost == 1
    collector.statuses = [200]
    assert tracer.send_ended() == 0


@pytest.mark.parametrize("status", [429, 503])
def test_a_collector_that_asks_to_wait_is_asked_again_after_that_time(
    instance: dg.DagsterInstance, collector: Collector, tracer: RunTracer, status: int
) -> None:
    execute(instance, "churn_deploy")
    collector.statuses, collector.headers = [status, 200], {"retry-after": "0"}
    assert tracer.send_ended() == 1
    assert len(collector.requests) == 2
    assert len(root_of(collector.spans).links) == 0


def test_an_unreachable_collector_is_logged_once_and_again_when_it_is_back(
    collector: Collector, sender: Sender, caplog: pytest.LogCaptureFixture
) -> None:
    collector.statuses = [400, 400, 200]
    with caplog.at_level(logging.INFO, "ml_assets_tests.traces"):
        assert [sender.send([]) for _ in range(3)] == [False, False, True]
    ours = [i for i in caplog.records if i.name == "ml_assets_tests.traces"]
    assert [item.message for item in ours] == [
        "the collector does not take traces",
        "the collector takes traces again",
    ]
    assert "400" in ours[0].fields["event.reason"]  # type: ignore[attr-defined]


def test_the_cursor_stays_small() -> None:
    cursor = RunCursor(0.0, {})
    for second in range(1000):
        cursor = cursor.with_run(f"run-{second}", float(second))
    assert len(cursor.sent) == 60
    assert RunCursor.parse(cursor.format()) == cursor


def test_the_cursor_of_an_earlier_version_is_read() -> None:
    text = '{"after": 5.0, "told": {"run-1": 4.0}}'
    assert RunCursor.parse(text) == RunCursor(5.0, {"run-1": 4.0})
