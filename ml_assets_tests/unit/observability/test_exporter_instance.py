import logging
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.remote_origin import (
    RegisteredCodeLocationOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.scheduler.instigation import TickStatus
from prometheus_client.core import GaugeMetricFamily, Metric

from ml_assets.observability.exporter.instance import InstanceSource, LazyInstance
from ml_assets.observability.exporter.metric_families import FoldedSeries
from ml_assets.observability.exporter.polling import Poller, SourceHealth
from ml_assets.observability.exporter.ticks import TickCursor
from ml_assets_tests.kits import exporter as kit


def test_runs_in_the_queue_are_counted(tmp_path: Path) -> None:
    (tmp_path / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        source = InstanceSource(LazyInstance(tmp_path), FoldedSeries())
        found = kit.polled(source)
        assert kit.value(found, "ml_assets_dagster_queue_depth") == 0
        oldest = "ml_assets_dagster_queue_oldest_timestamp_seconds"
        assert kit.value(found, oldest) is None
        job = dg.define_asset_job("good", [kit.raw])
        defs = dg.Definitions(assets=[kit.raw], jobs=[job])
        before = time.time()
        instance.create_run_for_job(
            defs.resolve_job_def("good"),
            status=dg.DagsterRunStatus.QUEUED,
            remote_job_origin=RemoteRepositoryOrigin(
                RegisteredCodeLocationOrigin("ml_assets"), "repository"
            ).get_job_origin("good"),
        )
        found = kit.polled(source)
    assert kit.value(found, "ml_assets_dagster_queue_depth") == 1
    queued = {"job": "good", "status": "queued"}
    assert kit.value(found, "ml_assets_dagster_runs", **queued) == 1
    requested = kit.value(found, oldest)
    assert requested is not None and before - 1 <= requested <= time.time() + 1


class Tick:
    def __init__(self, tick_id: int, timestamp: float, status: TickStatus) -> None:
        self.tick_id, self.timestamp, self.status = tick_id, timestamp, status


def test_a_tick_is_counted_once_and_when_it_has_ended() -> None:
    cursor = TickCursor(100.0)
    slow = Tick(1, 110.0, TickStatus.STARTED)
    given: list[Any] = [Tick(2, 120.0, TickStatus.SUCCESS), slow]
    assert [tick.tick_id for tick in cursor.new(given, 121.0)] == [2]
    # The one in progress is queried again.
    assert cursor.after < 110.0
    slow.status = TickStatus.FAILURE
    assert [tick.tick_id for tick in cursor.new(given, 122.0)] == [1]
    # Thereafter the newest is queried again, and no other.
    assert 110.0 < cursor.after < 120.0
    assert cursor.new(given[:1], 123.0) == []


def test_a_tick_whose_daemon_ended_is_not_waited_for() -> None:
    cursor = TickCursor(100.0)
    given: list[Any] = [Tick(1, 110.0, TickStatus.STARTED)]
    given.append(Tick(2, 9_000.0, TickStatus.SKIPPED))
    cursor.new(given, 9_001.0)
    assert cursor.after == 8_999.0


class Flaky:
    name = "flaky"

    def __init__(self) -> None:
        self.fails = False
        self.polls = threading.Semaphore(0)

    def poll(self, stop: threading.Event) -> Sequence[Metric]:
        try:
            if self.fails:
                raise ConnectionError("the database is away")
            return [GaugeMetricFamily("x", "X.", value=7)]
        finally:
            self.polls.release()


def test_a_source_that_fails_is_a_metric_and_its_last_families_stay(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "ml_assets.exporter")
    source, health = Flaky(), SourceHealth(FoldedSeries())
    poller = Poller(source, health, 0.001)

    def state() -> tuple[float | None, ...]:
        # More than one: the first poll that ends may have begun before.
        for _ in range(20):
            assert source.polls.acquire(timeout=10)
        found = kit.parsed(kit.text_of([*health.metrics(), *poller.latest]))
        up = kit.value(found, "ml_assets_exporter_source_up", source="flaky")
        return up, kit.value(found, "x")

    poller.start()
    assert state() == (1, 7)
    source.fails = True
    assert state() == (0, 7)
    found = kit.parsed(kit.text_of(health.metrics()))
    errors = kit.value(found, "ml_assets_exporter_errors_total", source="flaky")
    assert errors is not None and errors > 1
    source.fails = False
    assert state() == (1, 7)
    poller.stop()
    poller.join(10)
    logged = [record for record in caplog.records if "away" in record.getMessage()]
    assert len(logged) == 1
