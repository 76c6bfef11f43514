from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from ml_assets.observability.exporter import event_log
from ml_assets.observability.exporter.event_log import EventCursor, EventLogSource
from ml_assets.observability.exporter.instance import LazyInstance
from ml_assets.observability.exporter.metric_families import (
    LIMIT,
    CounterFamily,
    FoldedSeries,
    HistogramFamily,
)
from ml_assets_tests.kits import exporter as kit


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    return tmp_path


@pytest.fixture
def instance(home: Path) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.from_config(str(home)) as found:
        yield found


@pytest.fixture
def log(home: Path) -> EventLogSource:
    return EventLogSource(LazyInstance(home), FoldedSeries())


def test_runs_steps_assets_and_checks_are_counted(instance, log):
    kit.run(instance, "good", kit.raw, kit.performance)
    kit.run(instance, "good", kit.raw)
    kit.run(instance, "judged", kit.evaluation)
    kit.run(instance, "bad", kit.broken)
    found = kit.polled(log)

    def value(name: str, **labels: str) -> float | None:
        return kit.value(found, f"ml_assets_{name}", **labels)

    assert value("dagster_runs_total", job="good", status="success") == 2
    assert value("dagster_runs_total", job="bad", status="failure") == 1
    # It exists before it happens, so that its first rise is seen.
    assert value("dagster_runs_total", job="good", status="failure") == 0
    seconds = "dagster_run_duration_seconds_count"
    assert value(seconds, job="good", status="success") == 2
    steps = "dagster_step_duration_seconds_count"
    assert value(steps, job="good", step="census__raw", status="success") == 2
    assert value(steps, job="bad", step="broken", status="failure") == 1
    assert value("dagster_materializations_total", asset="census/raw") == 2
    assert value("dagster_asset_rows", asset="census/raw") == 7
    assert value("dagster_asset_bytes", asset="census/raw") == 99
    check = {"asset": "census/evaluation", "check": "gate"}
    results = "dagster_check_results_total"
    assert value(results, **check, severity="warn", passed="false") == 1
    assert value("dagster_check_passed", **check) == 0
    assert value("gate_verdicts_total", model="census", verdict="failed") == 1
    assert value("gate_verdicts_total", model="census", verdict="passed") == 0
    figure = {"model": "census", "version": "20261123T020000Z", "metric": "accuracy"}
    assert value("live_metric", **figure) == 0.7
    assert value("live_offline_metric", **figure) == 0.86
    assert value("live_degraded", model="census") == 1
    assert value("live_labels", model="census") == 40


def counters(found: kit.Samples) -> kit.Samples:
    ends = ("_total", "_count", "_sum", "_bucket")
    own = "ml_assets_exporter_events_read_total"
    return {k: v for k, v in found.items() if k[0].endswith(ends) and k[0] != own}


def test_counters_are_the_same_after_a_restart(instance, home, log):
    kit.run(instance, "good", kit.raw)
    kit.polled(log)
    for _ in range(3):
        kit.run(instance, "good", kit.raw, kit.evaluation)
        kit.run(instance, "bad", kit.broken)
        found = kit.polled(log)
    again = kit.polled(EventLogSource(LazyInstance(home), FoldedSeries()))
    assert counters(again) == counters(found)


def test_a_poll_reads_new_events_alone_and_none_twice(instance, log):
    kit.run(instance, "good", kit.raw)
    before = kit.polled(log)
    read = log.read
    assert counters(kit.polled(log)) == counters(before)
    assert log.read == read
    kit.run(instance, "good", kit.raw)
    found = kit.polled(log)
    labels = {"job": "good", "status": "success"}
    assert kit.value(found, "ml_assets_dagster_runs_total", **labels) == 2


def test_batches_are_read_to_the_end(instance, log, monkeypatch):
    monkeypatch.setattr(event_log, "BATCH", 2)
    for _ in range(5):
        kit.run(instance, "good", kit.raw)
    labels = {"job": "good", "status": "success"}
    found = kit.polled(log)
    assert kit.value(found, "ml_assets_dagster_runs_total", **labels) == 5


class Event:
    def __init__(self, run_id: str) -> None:
        self.run_id = run_id


def test_an_event_that_a_database_shows_late_is_read():
    cursor = EventCursor()
    assert len(cursor.new({1: Event("a"), 3: Event("c")})) == 2
    late = {1: Event("a"), 2: Event("b"), 3: Event("c")}
    assert [event.run_id for event in cursor.new(late)] == ["b"]
    assert cursor.new(late) == []


def test_an_id_that_is_used_again_is_another_event():
    cursor = EventCursor()
    cursor.new({7: Event("deleted")})
    assert [event.run_id for event in cursor.new({7: Event("new")})] == ["new"]


def test_a_cursor_remembers_no_more_than_its_overlap():
    cursor = EventCursor()
    for start in range(0, 10_000, 100):
        cursor.new({start + i + 1: Event("r") for i in range(100)})
    assert len(cursor._seen) == event_log.OVERLAP


def test_a_full_family_counts_on_under_other():
    folded = FoldedSeries()
    counts = CounterFamily("x_total", "X.", ["name"], folded)
    for number in range(LIMIT + 5):
        counts.add(str(number))
    samples = counts.metric().samples
    assert len(samples) == LIMIT + 1
    assert samples[-1].labels == {"name": "other"} and samples[-1].value == 5
    assert folded.counts == {"x_total": 5}


def test_the_order_of_values_does_not_show_in_a_sum():
    values = [0.1, 0.2, 0.3, 1e6 + 0.7, 3e-6]
    sums = []
    for given in (values, values[::-1]):
        family = HistogramFamily("x", "X.", [], (1, 2), FoldedSeries())
        for item in given:
            family.observe(value=item)
        sums += [s.value for s in family.metric().samples if s.name == "x_sum"]
    assert sums[0] == sums[1]


def test_a_key_of_a_mapped_step_is_no_label(instance, log):
    @dg.op(out=dg.DynamicOut())
    def names():
        yield dg.DynamicOutput(1, mapping_key="someone")

    @dg.op
    def greet(name):
        return name

    @dg.job
    def mapped():
        names().map(greet)

    mapped.execute_in_process(instance=instance)
    found = kit.polled(log)
    steps = {dict(labels).get("step") for name, labels in found if "step_dur" in name}
    assert steps == {"names", "greet"}
