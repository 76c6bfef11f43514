"""The demonstration and the development servers, as a newcomer starts them."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ml_assets.state.ledger import Ledger
from ml_assets.state.plans import Plans
from ml_assets_tests.integration.test_logs import (
    SECRETS,
    require_lines_of_a_demo,
    require_no_secret,
)
from ml_assets_tests.kits.processes import await_true, free_ports, processes_with

pytestmark = pytest.mark.slow


@contextlib.contextmanager
def running(log: Path, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """``ml-assets`` with its output in `log`; killed if the test fails."""
    command = [sys.executable, "-m", "ml_assets.cli", *arguments]
    with log.open("wb") as stream:
        process = subprocess.Popen(
            command, stdout=stream, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def test_the_demo_shows_the_whole_loop_and_leaves_nothing(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    log = tmp_path / "log"
    with running(log, "demo") as process:
        code = process.wait(400)
    output = log.read_text()
    assert code == 0, output
    for message in (
        "569 rows of 31 columns from sklearn breast_cancer",
        "passed  schema contract",
        "454 rows to train with, 115 held out to test",
        "fitted in",
        "balanced accuracy",
        "passed  majority: accuracy",
        "gate launched run",
        "is in service: plan 1, runtime compiled; 1 running server(s)",
        "POST http://127.0.0.1:",
        "held-out rows right",
        "Materialize all, as in the UI",
        "had nothing to do yet, and none failed",
        "experiment  promote: the challenger is better",
        "experiment  roll back: guardrail breached: slow answers",
        "drift asks for a training",
        "hashes      16 of 16 match",
        "every process that was started has ended",
    ):
        assert message in output
    assert "Traceback" not in output
    require_no_secret(output)
    require_lines_of_a_demo(home / "demo")
    assert processes_with(f"ML_ASSETS_HOME={home}") == []
    monkeypatch.setenv("ML_ASSETS_HOME", str(home / "demo"))
    plan = Plans().current("breast_cancer")
    assert plan is not None and plan.generation == 1
    assert [entry.kind for entry in Ledger().entries("churn")] == [
        "deployment",
        "experiment",
        "promotion",
        "experiment",
        "rollback",
        "experiment",
    ]


@pytest.mark.parametrize(
    "message, number",
    [(b"sensor sees the eval", signal.SIGTERM), (b"checking the rows", signal.SIGINT)],
)
def test_a_demo_that_is_stopped_fails_and_leaves_nothing(
    home: Path, tmp_path: Path, message: bytes, number: signal.Signals
) -> None:
    log = tmp_path / "log"
    with running(log, "demo") as process:
        await_true(lambda: message in log.read_bytes(), "it was under way")
        process.send_signal(number)
        assert process.wait(300) == 1
    assert b"Traceback" not in log.read_bytes()
    await_true(
        lambda: not processes_with(f"ML_ASSETS_HOME={home}/demo"), "all had ended", 60
    )


def answer(url: str) -> Any:
    """The status of an address; None while nobody answers."""
    try:
        with urllib.request.urlopen(url, timeout=5) as response:
            return response.status
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return None


def test_dev_and_a_training_begin_on_a_new_instance_at_once(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("UI_PORT", "PORT", "METRICS_PORT")
    ui, port, metrics = ports = free_ports(3)
    for name, number in zip(names, ports, strict=True):
        monkeypatch.setenv(f"ML_ASSETS_{name}", str(number))
    log = tmp_path / "log"
    trained = tmp_path / "trained"
    with running(log, "dev") as dev, running(trained, "train", "breast_cancer") as run:
        assert run.wait(240) == 0, trained.read_text()
        await_true(lambda: b"ready   Dagster UI" in log.read_bytes(), "it was ready")
        assert answer(f"http://127.0.0.1:{ui}/server_info") == 200
        assert answer(f"http://127.0.0.1:{port}/models") == 200
        assert answer(f"http://127.0.0.1:{metrics}/metrics") == 200
        dev.send_signal(signal.SIGTERM)
        assert dev.wait(60) == 0
    assert "Error" not in log.read_text()
    assert "INFO server started server.address=127.0.0.1" in log.read_text()
    await_true(
        lambda: not processes_with(f"ML_ASSETS_HOME={home}"), "all had ended", 60
    )
    assert (home / "dagster" / "dagster.yaml").exists()


def test_dev_fails_when_one_of_its_processes_dies(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ML_ASSETS_LOG", "json")
    ui, port, metrics = free_ports(3)
    log = tmp_path / "log"
    options = (f"--ui-port={ui}", f"--port={port}", f"--metrics-port={metrics}")
    with running(log, "dev", *options) as process:
        await_true(lambda: b"server started" in log.read_bytes(), "the server started")
        lines = log.read_text().splitlines()
        line = next(item for item in lines if "server started" in item)
        os.kill(json.loads(line.partition("| ")[2])["process.pid"], signal.SIGKILL)
        assert process.wait(60) == 1
    assert "the server ended with exit code -9" in log.read_text()
    await_true(
        lambda: not processes_with(f"ML_ASSETS_HOME={home}"), "all had ended", 60
    )
