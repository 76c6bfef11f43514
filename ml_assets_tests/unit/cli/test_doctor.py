"""The doctor names what is wrong and what to do, whatever else is broken."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import dagster as dg
import pytest
from dagster._daemon.types import DaemonHeartbeat

from ml_assets.cli.checks import (
    Finding,
    guarded,
    installation,
    instance,
    models,
    ok,
    problem,
    serving,
    storage,
    warning,
)
from ml_assets.spec import catalogue, model_file
from ml_assets.spec.model import ModelSpec
from ml_assets_tests.kits.cli import invoke

KAGGLE = {"type": "kaggle", "dataset": "a/b", "file": "c.csv"}


def status_of(findings: Any, check: str) -> str:
    return next(item.status for item in findings if item.check == check)


def only_findings(monkeypatch: pytest.MonkeyPatch, *findings: Finding) -> None:
    monkeypatch.setattr("ml_assets.cli.doctor.diagnose", lambda *_: iter(findings))


@pytest.mark.parametrize(
    "findings, code",
    [
        ([ok("disk", "room")], 0),
        ([ok("disk", "room"), warning("daemon", "none runs", "start one")], 0),
        ([warning("daemon", "none", "start"), problem("disk", "full", "make room")], 1),
    ],
)
def test_only_a_problem_fails(
    monkeypatch: pytest.MonkeyPatch, findings: list[Finding], code: int
) -> None:
    only_findings(monkeypatch, *findings)
    assert invoke("doctor").exit_code == code
    document = json.loads(invoke("doctor", "--json").stdout)
    assert document["ok"] is (code == 0)
    assert [item["status"] for item in document["findings"]] == [
        finding.status for finding in findings
    ]


def test_a_finding_is_printed_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    only_findings(monkeypatch, problem("disk", "full", "make room"))
    output = invoke("doctor").output
    assert "problem  disk: full" in output
    assert "-> make room" in output
    assert "1 problem(s), 0 warning(s)" in output


def test_an_unforeseen_error_is_a_finding_too() -> None:
    def broken() -> Any:
        yield ok("first", "fine")
        raise ZeroDivisionError("by nothing")

    first, second = guarded("broken", broken)
    assert (first.status, second.status) == ("ok", "problem")
    assert "ZeroDivisionError: by nothing" in second.message


def test_this_installation_is_as_locked() -> None:
    assert {finding.status for finding in installation.check()} == {"ok"}


def test_a_package_that_differs_from_the_lock_is_named() -> None:
    found = installation._locked(["click==0.1 \\", "nowhere==1 ; python_version > '3'"])
    assert found.status == "warning"
    assert "click is " in found.message and "expected ==0.1" in found.message
    assert "nowhere is missing" in found.message


def test_a_package_for_another_system_is_not_missed() -> None:
    line = "nowhere==1 ; sys_platform == 'plan9'"
    assert installation._locked([line]).status == "ok"


def test_a_storage_that_works_is_tried_and_left_clean(home: Path) -> None:
    assert {finding.status for finding in storage.check()} <= {"ok", "warning"}
    assert list(home.iterdir()) == []


def test_a_home_that_is_a_file_is_a_problem(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "file").touch()
    monkeypatch.setenv("ML_ASSETS_HOME", str(home / "file"))
    found = [*storage.check()]
    assert status_of(found, "home") == status_of(found, "storage") == "problem"


class Forgetful(BaseHTTPRequestHandler):
    """A store with the protocol of S3 that overlooks ``If-None-Match``."""

    protocol_version = "HTTP/1.1"
    objects: ClassVar[dict[str, bytes]] = {}

    def answer(self, status: int, body: bytes = b"") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", '"1"')
        self.send_header("Last-Modified", "Mon, 23 Nov 2026 02:00:00 GMT")
        self.end_headers()
        self.wfile.write(body)

    def do_PUT(self) -> None:
        size = int(self.headers["Content-Length"])
        self.objects[self.path] = self.rfile.read(size)
        self.answer(200)

    def do_GET(self) -> None:
        found = self.objects.get(self.path)
        self.answer(200, found) if found is not None else self.answer(404)

    def log_message(self, *_: Any) -> None:
        """Print nothing."""


def test_a_store_that_lets_two_create_one_object_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Forgetful)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    for name, value in {
        "ML_ASSETS_STORAGE": "s3://bucket/ml",
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.server_port}",
        "AWS_ALLOW_HTTP": "true",
        "AWS_ACCESS_KEY_ID": "a",
        "AWS_SECRET_ACCESS_KEY": "b",
        "AWS_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    try:
        (finding,) = [item for item in storage.check() if item.status == "problem"]
    finally:
        server.shutdown()
        server.server_close()
    assert finding.message.startswith(
        "s3://bucket/ml: 4 of 4 clients created one object"
    )


@pytest.mark.parametrize(
    "free, status", [(10 * 2**30, "ok"), (2**30, "warning"), (2**20, "problem")]
)
def test_room_on_the_disk_is_judged(
    monkeypatch: pytest.MonkeyPatch, free: int, status: str
) -> None:
    usage = type("Usage", (), {"free": free})
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage)
    assert status_of(storage.check(), "disk") == status


def test_a_missing_instance_is_a_warning_and_stays_missing(home: Path) -> None:
    (finding,) = instance.check()
    assert finding.status == "warning"
    assert not (home / "dagster").exists()


def test_a_daemon_is_alive_while_its_heartbeat_is_fresh(home: Path) -> None:
    directory = home / "dagster"
    directory.mkdir()
    (directory / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    assert status_of(instance.check(), "daemon") == "warning"
    with dg.DagsterInstance.from_config(str(directory)) as found:
        for age, status in ((600, "warning"), (1, "ok")):
            beat = DaemonHeartbeat(time.time() - age, "SENSOR", None, [])
            found.add_daemon_heartbeat(beat)
            assert status_of(instance.check(), "daemon") == status
        beat = DaemonHeartbeat(time.time(), "SENSOR", None, None)
        found.add_daemon_heartbeat(beat)
    assert status_of(instance.check(), "automation") == "ok"


def test_a_yaml_that_cannot_be_read_is_a_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = f"type: {[*model_file.TYPES][0]}\nattributes: {{name: a}}\n"
    (tmp_path / "defs.yaml").write_text(text)
    monkeypatch.setattr(catalogue, "folders", lambda: [tmp_path])
    monkeypatch.setattr(models, "_definitions", lambda: ok("definitions", ""))
    assert status_of(models.check(), "yaml") == "problem"


@pytest.mark.parametrize(
    "given, status, message",
    [
        ({}, ["ok"], "0 expectations are valid"),
        (
            {"estimator": {"type": "sklearn.svm.LinearSVC"}},
            ["problem"],
            "no probabilities",
        ),
        (
            {
                "expect": [
                    {
                        "expect_column_values_to_be_in_set": {
                            "column": "a",
                            "value_set": 3,
                        }
                    }
                ]
            },
            ["problem"],
            "value_set",
        ),
        (
            {"source": {"type": "csv", "path": "${NO_SUCH_PLACE}/a.csv"}},
            ["ok", "warning"],
            "NO_SUCH_PLACE",
        ),
        ({"source": KAGGLE}, ["ok", "warning"], "KAGGLE_JSON is not set"),
    ],
)
def test_a_model_is_judged_by_its_yaml(
    given: dict[str, Any], status: list[str], message: str
) -> None:
    spec = {"name": "a", "target": "y", "source": {"type": "synthetic"}}
    found = list(models._model(ModelSpec.model_validate(spec | given)))
    assert [finding.status for finding in found] == status
    assert message in found[-1].message


@pytest.mark.parametrize(
    "setting, status",
    [
        ('{"username": "a", "key": "b"}', "ok"),
        ('{"username": "a"}', "problem"),
        ("[1]", "problem"),
        ("/no/such/file", "problem"),
    ],
)
def test_a_kaggle_token_is_checked_and_never_shown(
    monkeypatch: pytest.MonkeyPatch, setting: str, status: str
) -> None:
    monkeypatch.setenv("KAGGLE_JSON", setting)
    finding = models._kaggle("a")
    assert finding.status == status
    assert setting not in finding.message


@pytest.mark.parametrize(
    "url, status", [(None, "warning"), ("http://127.0.0.1:1", "problem")]
)
def test_a_server_must_run_only_where_one_was_named(
    monkeypatch: pytest.MonkeyPatch, url: str | None, status: str
) -> None:
    monkeypatch.setenv("ML_ASSETS_PORT", "1")
    (finding,) = serving.check(url)
    assert finding.status == status
    assert "no model server answers at http://127.0.0.1:1" in finding.message
