"""Ids, settings and log lines of the model server."""

import json
import logging
import sys
import threading
import time
import uuid
from pathlib import Path

import pytest

from ml_assets.core.logs import EcsFormatter
from ml_assets.records.plan import Arm, ServingPlan
from ml_assets.serving.metrics.collector import Metrics
from ml_assets.serving.models import ids as ids_module
from ml_assets.serving.models.ids import PredictionIds
from ml_assets.serving.settings import ServerSettings


@pytest.mark.parametrize("count", [1, 2, 100, 40_000])
def test_ids_are_unique_ascending_uuids_of_now(count):
    ids = PredictionIds()
    found = ids.take(count) + [ids.one()] + ids.take(3)
    assert found == sorted(set(found))
    parsed = [uuid.UUID(text) for text in found]
    assert {(item.version, item.variant) for item in parsed} == {(7, uuid.RFC_4122)}
    assert list(map(str, parsed)) == found
    assert abs((parsed[0].int >> 80) / 1000 - time.time()) < 60


def test_ids_of_one_call_after_another_never_run_out_of_counter():
    ids = PredictionIds()
    found = [ids.one() for _ in range(50_000)]
    assert found == sorted(set(found))


@pytest.mark.parametrize(
    "seconds, goes_back", [(1, False), (59, False), (61, True), (3e8, True)]
)
def test_ids_go_back_with_a_clock_that_was_wrong_and_not_with_one_that_is_set(
    monkeypatch, seconds, goes_back
):
    ids, now = PredictionIds(), time.time_ns()
    monkeypatch.setattr(ids_module.time, "time_ns", lambda: now)
    first = ids.one()
    monkeypatch.setattr(ids_module.time, "time_ns", lambda: now - int(seconds * 1e9))
    assert (ids.one() < first) == goes_back


def test_ids_of_several_threads_are_distinct():
    ids = PredictionIds()
    found: list[str] = []
    threads = [
        threading.Thread(target=lambda: [found.extend(ids.take(7)) for _ in range(300)])
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == len(found) == 4 * 300 * 7


def test_arguments_win_over_the_environment_and_that_over_the_defaults():
    environ = {"ML_ASSETS_PORT": "9001", "ML_ASSETS_MAX_ROWS": "5"}
    settings = ServerSettings.load({"port": "9002", "host": None}, environ)
    assert (settings.port, settings.max_rows) == (9002, 5)
    assert settings.host == "127.0.0.1"


@pytest.mark.parametrize(
    "name, value",
    [("port", "99999"), ("workers", "0"), ("max_rows", "many"), ("poll_seconds", "0")],
)
def test_a_setting_that_does_not_fit_is_named(name, value):
    with pytest.raises(ValueError, match=rf"server settings: .*\$\.{name}"):
        ServerSettings.load({name: value}, {})


def test_settings_survive_the_command_line_of_a_worker():
    settings = ServerSettings.load({"port": 1234, "storage": "/tmp/a b"}, {})
    pairs = (item[2:].split("=", 1) for item in settings.arguments())
    given = {name.replace("-", "_"): value for name, value in pairs}
    assert ServerSettings.load(given, {}) == settings


def test_a_log_line_keeps_of_an_exception_the_type_and_the_stack():
    try:
        raise ValueError("SECRET")
    except ValueError:
        info = sys.exc_info()
    record = logging.LogRecord("x", logging.ERROR, "", 0, "it failed", (), info)
    line = json.loads(EcsFormatter("ml-assets.server").format(record))
    assert line["message"] == "it failed"
    assert line["log.level"] == "error"
    assert line["error.type"] == "ValueError"
    assert "error.message" not in line
    assert "test_app_parts" in line["error.stack_trace"]
    assert "SECRET" not in line["error.stack_trace"].replace('"SECRET"', "")


def test_the_server_imports_nothing_heavy():
    import subprocess

    code = (
        "import sys, ml_assets.serving.process.server;"
        "print([n for n in ('pandas','sklearn','mlflow','dagster','pydantic')"
        " if n in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_a_plan_without_a_time_does_not_break_the_metrics():
    metrics = Metrics()
    arm = Arm(version="a", bundle="b", files={}, runtime="compiled")
    metrics.plans["census"] = ServingPlan(
        model="census", generation=3, arms=(arm,), created_at="", reason="test"
    )
    found = {item.name: item.samples for item in metrics.collect()}
    assert found["ml_assets_plan_generation"][0].value == 3
    assert found["ml_assets_plan_created_timestamp_seconds"] == []


def test_every_setting_and_metric_is_documented():
    docs = Path(__file__).parents[4] / "docs"
    text = "".join((docs / f"{n}.md").read_text() for n in ("serving", "observability"))
    metrics = {item.name for item in Metrics().collect()}
    missing = [name for name in metrics if f"`{name}" not in text]
    missing += [n for n in ServerSettings.__struct_fields__ if f"`{n}`" not in text]
    assert missing == []
