"""What there is much of is told to the last, or it is told that it is not.

The kind: a table that stops at some number, and looks complete.
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

from ml_assets.observability.exporter import families, now
from ml_assets.observability.exporter.assets import AssetMetrics
from ml_assets.observability.exporter.checks import CheckMetrics
from ml_assets.observability.exporter.families import Counts, Folded, Histograms
from ml_assets.observability.exporter.follower import Health
from ml_assets.observability.exporter.models import Models
from ml_assets.observability.exporter.opening import Opening
from ml_assets_tests.kits import exporter as kit

# More than the limit that gauges once had.
MANY = 2_100
NAMES = [f"m{number:04}" for number in range(MANY)]


def of_storage(root: Path) -> Iterable[Metric]:
    (root / "ledger").mkdir()
    for name in NAMES:
        (root / "ledger" / f"{name}.jsonl").touch()
        report = root / "reports" / name / "drift" / "raw-1.json"
        report.parent.mkdir(parents=True)
        column = {"column": "age", "psi": 0.1, "drifted": False}
        report.write_text(json.dumps({"drifted": False, "columns": [column]}))
    return Models(root, Folded()).look(threading.Event())


def of_assets(root: Path) -> Iterable[Metric]:
    figures = {"version": "v", "degraded": False, "joined": 1, "accuracy": 0.9}
    metadata = {**figures, "dagster/row_count": 7, "size_bytes": 9}
    table = AssetMetrics(Folded())
    for name in NAMES:
        key = dg.AssetKey([name, "performance"])
        made = dg.AssetMaterialization(key, metadata=metadata)
        event: Any = SimpleNamespace(asset_materialization=made, timestamp=1.0)
        table.take([event])
    return table.metrics()


def of_checks(root: Path) -> Iterable[Metric]:
    table = CheckMetrics(Folded())
    for name in NAMES:
        found = SimpleNamespace(
            asset_key=dg.AssetKey([name, "raw"]),
            check_name="rows",
            severity=dg.AssetCheckSeverity.ERROR,
            passed=True,
        )
        told = SimpleNamespace(asset_check_evaluation_data=found)
        event: Any = SimpleNamespace(dagster_event=told, timestamp=1.0)
        table.take([event])
    return table.metrics()


@pytest.mark.parametrize(
    "made, label",
    [
        pytest.param(of_storage, "model", id="models in the storage"),
        pytest.param(of_assets, "asset", id="assets in the event log"),
        pytest.param(of_assets, "model", id="models with live figures"),
        pytest.param(of_checks, "asset", id="assets with checks"),
    ],
)
def test_every_family_tells_of_every_thing_however_many_there_are(
    made: Callable[[Path], Iterable[Metric]], label: str, tmp_path: Path
) -> None:
    told = 0
    for family in made(tmp_path):
        found = {s.labels[label] for s in family.samples if label in s.labels}
        if found:
            # The ledger of releases is told beside those of models.
            assert len(found - {"release"}) == MANY, family.name
            told += 1
    assert told > 1


def test_runs_under_way_are_counted_beyond_one_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(now, "BATCH", 2)
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
        found = kit.told(now.Now(Opening(tmp_path), Folded()))
    waiting = {"job": "good", "status": "queued"}
    assert kit.value(found, "ml_assets_dagster_runs", **waiting) == 5
    assert kit.value(found, "ml_assets_dagster_queue_depth") == 5


def counted(folded: Folded) -> tuple[str, Callable[[str], object]]:
    table = Counts("x_total", "X.", ["name"], folded)
    return "x_total", table.add


def observed(folded: Folded) -> tuple[str, Callable[[str], object]]:
    table = Histograms("x_seconds", "X.", ["name"], (1, 2), folded)
    return "x_seconds", lambda name: table.observe(name, value=1.0)


@pytest.mark.parametrize("made", [counted, observed])
def test_what_is_folded_is_told_by_a_metric_and_by_one_line_for_its_family(
    made: Callable[[Folded], tuple[str, Callable[[str], object]]],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(families, "LIMIT", MANY)
    folded = Folded()
    family, add = made(folded)
    with caplog.at_level(logging.WARNING, "ml_assets.exporter"):
        for name in [*NAMES, "one", "two", "one"]:
            add(name)
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith(f"{family} has 2100 series")
    samples = [s for metric in Health(folded).metrics() for s in metric.samples]
    told = "ml_assets_exporter_series_folded_total"
    (sample,) = [sample for sample in samples if sample.name == told]
    assert (sample.labels, sample.value) == ({"family": family}, 3.0)
