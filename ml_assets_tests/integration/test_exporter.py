"""The exporter as a process, over SQLite and over PostgreSQL."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import pytest

from ml_assets_tests.kits import exporter as kit
from ml_assets_tests.kits import postgres_instance as postgres_kit
from ml_assets_tests.kits.patience import PATIENCE

DOCS = Path(__file__).parents[2] / "docs" / "observability.md"


@contextlib.contextmanager
def exporting(home: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The exporter on this Dagster home, and the address of its metrics."""
    names = ("DAGSTER_HOME", "ML_ASSETS_HOME", "ML_ASSETS_STORAGE")
    command = [sys.executable, "-m", "ml_assets.cli", "exporter"]
    process = subprocess.Popen(
        [*command, "--port", "0", "--interval", "0.2"],
        env={**os.environ, **dict.fromkeys(names, str(home))},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if found := re.search(r"http://[^\s\"]+/metrics", line):
                yield process, found[0]
                break
        else:
            raise AssertionError("the exporter did not start")
    finally:
        process.kill()
        process.wait()


def scrape(address: str) -> str:
    with urllib.request.urlopen(address, timeout=PATIENCE) as answer:
        return str(answer.read().decode())


def until(address: str, wanted: Callable[[kit.Samples], bool]) -> str:
    """The first scrape whose samples are as wanted."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        text = scrape(address)
        if wanted(kit.parsed(text)):
            return text
        time.sleep(0.05)
    raise AssertionError(text)


def ended(job: str, status: str, runs: int) -> Callable[[kit.Samples], bool]:
    name, labels = "ml_assets_dagster_runs_total", {"job": job, "status": status}
    return lambda found: kit.value(found, name, **labels) == runs


@pytest.mark.slow
def test_the_exporter_counts_ends_and_is_the_same_after_a_restart(tmp_path: Path):
    (tmp_path / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        kit.run(instance, "good", kit.raw)
        with exporting(tmp_path) as (process, address):
            until(address, ended("good", "success", 1))
            kit.run(instance, "bad", kit.broken)
            kit.run(instance, "judged", kit.evaluation)
            text = until(address, ended("judged", "success", 1))
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE) == 0
        before = counts(text)
        with exporting(tmp_path) as (process, address):
            ready = "ml_assets_exporter_ready"
            text = until(address, lambda found: kit.value(found, ready) == 1)
            assert counts(text) == before
    if shutil.which("promtool") is None:
        pytest.skip("promtool is not installed (Debian: prometheus)")
    check = ["promtool", "check", "metrics"]
    done = subprocess.run(check, input=text, text=True, capture_output=True)
    assert (done.returncode, done.stderr) == (0, "")


def counts(text: str) -> kit.Samples:
    prefix, ends = "ml_assets_dagster_", ("_total", "_count", "_sum", "_bucket")
    return {
        key: value
        for key, value in kit.parsed(text).items()
        if key[0].startswith(prefix) and key[0].endswith(ends)
    }


@pytest.mark.slow
def test_every_metric_is_in_the_catalogue(tmp_path: Path):
    (tmp_path / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        kit.run(instance, "good", kit.raw, kit.evaluation, kit.performance)
    with exporting(tmp_path) as (_, address):
        text = until(address, ended("good", "success", 1))
    names = set(re.findall(r"^# TYPE (ml_assets_\w+)", text, re.MULTILINE))
    written = set(re.findall(r"`(ml_assets_\w+)`", DOCS.read_text()))
    assert names <= written
    exported = DOCS.read_text().partition("## The model server")[0]
    listed = set(re.findall(r"^\| `(ml_assets_\w+)`", exported, re.MULTILINE))
    assert listed - names == set()


@pytest.mark.slow
@pytest.mark.skipif(
    not postgres_kit.is_installed(), reason="PostgreSQL 15 is not installed"
)
def test_a_database_that_goes_away_is_a_metric_and_no_crash(tmp_path: Path):
    def is_up(value: float) -> Callable[[kit.Samples], bool]:
        name = "ml_assets_exporter_source_up"
        return lambda found: kit.value(found, name, source="event_log") == value

    with contextlib.ExitStack() as database:
        url = database.enter_context(postgres_kit.running())
        (tmp_path / "dagster.yaml").write_text(postgres_kit.dagster_yaml(url))
        with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
            kit.run(instance, "good", kit.raw)
        with exporting(tmp_path) as (process, address):
            kit.run(instance, "bad", kit.raw, kit.broken)
            found = kit.parsed(until(address, ended("bad", "failure", 1)))
            for job, step, status in (
                ("good", "census__raw", "success"),
                ("bad", "census__raw", "success"),
                ("bad", "broken", "failure"),
            ):
                labels = {"job": job, "step": step, "status": status}
                name = "ml_assets_dagster_step_duration_seconds_count"
                assert kit.value(found, name, **labels) == 1
            database.close()
            text = until(address, is_up(0))
            assert ended("good", "success", 1)(kit.parsed(text))
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE) == 0
