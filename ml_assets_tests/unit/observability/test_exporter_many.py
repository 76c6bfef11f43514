"""Families have a series for everything, however much it is, or report the rest.

The kind of fault: a table that stops at some number, and seems complete.
"""

import json
import logging
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest
from dagster._core.remote_origin import (
    RegisteredCodeLocationOrigin,
    RemoteRepositoryOrigin,
)
from prometheus_client.core import Metric

from ml_assets.core.storage import storage
from ml_assets.observability.exporter import instance as exported_instance
from ml_assets.observability.exporter.assets import AssetMetrics, CheckMetrics
from ml_assets.observability.exporter.instance import InstanceSource, LazyInstance
from ml_assets.observability.exporter.metric_families import (
    CounterFamily,
    FoldedSeries,
    HistogramFamily,
)
from ml_assets.observability.exporter.polling import SourceHealth
from ml_assets.observability.exporter.storage import StorageSource
from ml_assets.state.drift_reports import object_name
from ml_assets.state.engine import writing
from ml_assets.state.schema import drift_reports, ledger_heads
from ml_assets_tests.kits import exporter as kit

# More than the limit that gauges once had.
MANY = 2_100
NAMES = [f"m{number:04}" for number in range(MANY)]


def of_storage(root: Path) -> Iterable[Metric]:
    head = {"seq": 0, "hash": "0" * 64, "signature": None}
    with writing("every model") as connection:
        rows = [{"model": name, **head} for name in NAMES]
        connection.execute(ledger_heads.insert(), rows)
        column = {"column": "age", "psi": 0.1, "drifted": False}
        for name in NAMES:
            report = {"drifted": False, "columns": [column]}
            storage().put(object_name(name, "raw-1"), json.dumps(report).encode())
        about = {"report": "raw-1", "source": "raw", "version": "v", "made": 1.0}
        rows = [{"model": name, **about} for name in NAMES]
        connection.execute(drift_reports.insert(), rows)
    return StorageSource(FoldedSeries()).poll(threading.Event())


def of_assets(root: Path) -> Iterable[Metric]:
    figures = {"version": "v", "degraded": False, "joined": 1, "accuracy": 0.9}
    metadata = {**figures, "dagster/row_count": 7, "size_bytes": 9}
    metrics = AssetMetrics(FoldedSeries())
    for name in NAMES:
        key = dg.AssetKey([name, "performance"])
        made = dg.AssetMaterialization(key, metadata=metadata)
        event: Any = SimpleNamespace(asset_materialization=made, timestamp=1.0)
        metrics.count([event])
    return metrics.metrics()


def of_checks(root: Path) -> Iterable[Metric]:
    metrics = CheckMetrics(FoldedSeries())
    for name in NAMES:
        found = SimpleNamespace(
            asset_key=dg.AssetKey([name, "raw"]),
            check_name="rows",
            severity=dg.AssetCheckSeverity.ERROR,
            passed=True,
        )
        checked = SimpleNamespace(asset_check_evaluation_data=found)
        event: Any = SimpleNamespace(dagster_event=checked, timestamp=1.0)
        metrics.count([event])
    return metrics.metrics()


@pytest.mark.parametrize(
    "made, label",
    [
        pytest.param(of_storage, "model", id="models in the storage"),
        pytest.param(of_assets, "asset", id="assets in the event log"),
        pytest.param(of_assets, "model", id="models with live metrics"),
        pytest.param(of_checks, "asset", id="assets with checks"),
    ],
)
def test_every_family_has_a_series_for_everything_however_much_there_is(
    made: Callable[[Path], Iterable[Metric]], label: str, tmp_path: Path
) -> None:
    complete = 0
    for family in made(tmp_path):
        found = {s.labels[label] for s in family.samples if label in s.labels}
        if found:
            # The ledger of releases has a series beside those of models.
            assert len(found - {"release"}) == MANY, family.name
            complete += 1
    assert complete > 1


def test_runs_in_progress_are_counted_beyond_one_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exported_instance, "BATCH", 2)
    (tmp_path / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    job = dg.define_asset_job("good", [kit.raw])
    defined = dg.Definitions(assets=[kit.raw], jobs=[job]).resolve_job_def("good")
    origin = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("x"), "repository")
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        for _ in range(5):
            instance.create_run_for_job(
                defined,
                status=dg.DagsterRunStatus.QUEUED,
                remote_job_origin=origin.get_job_origin("good"),
            )
        found = kit.polled(InstanceSource(LazyInstance(tmp_path), FoldedSeries()))
    queued = {"job": "good", "status": "queued"}
    assert kit.value(found, "ml_assets_dagster_runs", **queued) == 5
    assert kit.value(found, "ml_assets_dagster_queue_depth") == 5


def counted(folded: FoldedSeries) -> tuple[str, Callable[[str], object]]:
    family = CounterFamily("x_total", "X.", ["name"], folded)
    return "x_total", family.add


def observed(folded: FoldedSeries) -> tuple[str, Callable[[str], object]]:
    family = HistogramFamily("x_seconds", "X.", ["name"], (1, 2), folded)
    return "x_seconds", lambda name: family.observe(name, value=1.0)


@pytest.mark.parametrize("made", [counted, observed])
def test_folded_series_have_a_metric_and_one_line_in_the_log_for_each_family(
    made: Callable[[FoldedSeries], tuple[str, Callable[[str], object]]],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    folded = FoldedSeries(MANY)
    family, add = made(folded)
    with caplog.at_level(logging.WARNING, "ml_assets.exporter"):
        for name in [*NAMES, "one", "two", "one"]:
            add(name)
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith(f"{family} has 2100 series")
    samples = [s for metric in SourceHealth(folded).metrics() for s in metric.samples]
    name = "ml_assets_exporter_series_folded_total"
    (sample,) = [sample for sample in samples if sample.name == name]
    assert (sample.labels, sample.value) == ({"family": family}, 3.0)
