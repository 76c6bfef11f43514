"""The log files of whole runs: every line is ECS JSON, without secrets or rows."""

import json
import os
import subprocess
import sys
import urllib.error
from pathlib import Path
from typing import Any

import pytest

from ml_assets.observability.dagster_logs import json_environment
from ml_assets_tests.integration.serving.conftest import storage, versions
from ml_assets_tests.kits.elastic import unmapped
from ml_assets_tests.kits.serving import Server

__all__ = ["storage", "versions"]  # fixtures

pytestmark = pytest.mark.slow

SECRETS = {
    "KAGGLE_JSON": '{"username": "ann-of-tests", "key": "kaggle0123456789"}',
    "SLACK_WEBHOOK": "http://127.0.0.1:9/services/T00SECRET/B00SECRET/slack01234",
    "ML_ASSETS_LEDGER_KEY": "ledger-key-0123456789",
    "MLFLOW_TRACKING_PASSWORD": "mlflow-password-01",
    "SALES_DATABASE": "postgresql://reader:sql-password-01@127.0.0.1:1/sales",
}
HIDDEN = (
    "kaggle0123456789",
    "B00SECRET/slack01234",
    "ledger-key-0123456789",
    "mlflow-password-01",
    "sql-password-01",
)
# A value that stands in rows and nowhere else.
MARK = "mark7f3a"
ALWAYS = {
    "@timestamp",
    "log.level",
    "message",
    "ecs.version",
    "log.logger",
    "process.pid",
    "service.name",
    "event.dataset",
}


def lines_of(text: str) -> list[dict[str, Any]]:
    """Each line, which must be a JSON object with the fields that all have."""
    found = []
    for line in text.splitlines():
        value = json.loads(line)
        assert ALWAYS <= value.keys(), line
        assert value["service.name"] == "ml-assets"
        found.append(value)
    assert unmapped(found) == []
    return found


def require_no_secret(text: str) -> None:
    for secret in HIDDEN:
        assert secret not in text


def require_no_rows(lines: list[dict[str, Any]]) -> None:
    """Row values may be in warnings and errors, never in lower levels."""
    for line in lines:
        if line["log.level"] in ("debug", "info"):
            assert MARK not in json.dumps(line)


def written_below(home: Path) -> str:
    """All log files of a home, those that Dagster keeps of steps too."""
    found = [*home.glob("logs/*.log"), *home.glob("dagster/storage/*/compute_logs/*")]
    return "".join(path.read_text() for path in found if path.suffix != ".complete")


def require_lines_of_a_demo(home: Path) -> None:
    """Every line of its services is ECS JSON without secrets."""
    text = written_below(home)
    require_no_secret(text)
    lines = lines_of(text)
    kinds = {line["event.dataset"] for line in lines}
    assert kinds == {"ml-assets.server", "ml-assets.dagster", "ml-assets.run"}
    steps = {line.get("labels.step") for line in lines}
    assert {"breast_cancer__deployment", "breast_cancer__monitoring"} <= steps
    # The daemon may have done what a schedule asks for at this hour, too.
    ends = [i for i in lines if i.get("event.action") == "pipeline_success"]
    (ended,) = [i for i in ends if i["labels.job"] == "breast_cancer_deploy"]
    assert ended["labels.model"] == "breast_cancer"
    assert ended["trace.id"] == ended["labels.run_id"].replace("-", "")


RUN = """
import json, os, sys
import dagster as dg
from ml_assets.components import TabularClassifier
from ml_assets_tests.conftest import definitions_of

@dg.asset
def talkative(context):
    context.log.info(json.dumps(dict(os.environ)))
    raise RuntimeError(f"no answer of {os.environ['SLACK_WEBHOOK']}")

with dg.DagsterInstance.get() as instance:
    for given in json.loads(sys.argv[1]):
        spec = TabularClassifier.model_validate(given)
        job = definitions_of(spec).resolve_job_def(f"{spec.name}_train")
        job.execute_in_process(instance=instance, raise_on_error=False)
    dg.materialize([talkative], instance=instance, raise_on_error=False)
"""


def test_runs_log_no_secret_and_of_rows_only_what_failed(
    home: Path, registry: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("MLFLOW_TRACKING_PASSWORD")
    (home / "dagster").mkdir()
    (home / "dagster" / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    monkeypatch.setenv("DAGSTER_HOME", str(home / "dagster"))
    rows = [f"{MARK}-{n % 7},{n},{n * 1.5},{('no', 'yes')[n % 2]}" for n in range(400)]
    (home / "good.csv").write_text("\n".join(["city,age,paid,churned", *rows]))
    rows[3] = f"{MARK}-3,-{MARK},0,yes"
    (home / "bad.csv").write_text("\n".join(["city,age,paid,churned", *rows]))
    common = {"target": "churned", "positive": "yes"}
    range_of_ages = {"column": "age", "min_value": 0, "max_value": 500}
    cities = {"column": "city", "value_set": ["Bonn", "Ulm"]}
    specs = [
        {"name": "good", "source": {"type": "csv", "path": str(home / "good.csv")}},
        {
            "name": "bad",
            "source": {"type": "csv", "path": str(home / "bad.csv")},
            "expect": [
                {"expect_column_values_to_be_between": range_of_ages},
                {"expect_column_values_to_be_in_set": cities},
            ],
        },
        {
            "name": "unreachable",
            "source": {
                "type": "sql",
                "url": "${SALES_DATABASE}",
                "query": "select * from customers",
            },
        },
    ]
    done = subprocess.run(
        [sys.executable, "-c", RUN, json.dumps([item | common for item in specs])],
        env={**os.environ, **json_environment()},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    text = done.stdout + done.stderr + written_below(home)
    require_no_secret(text)
    lines = lines_of(done.stdout + done.stderr)
    require_no_rows(lines)
    ends = [
        (line["labels.job"], line["event.action"])
        for line in lines
        if line.get("event.action") in ("pipeline_success", "pipeline_failure")
    ]
    assert [(job.removesuffix("_train"), end) for job, end in ends[:3]] == [
        ("good", "pipeline_success"),
        ("bad", "pipeline_failure"),
        ("unreachable", "pipeline_failure"),
    ]
    failed = [i for i in lines if i.get("event.action") == "step_failure"]
    assert len(failed) == 3
    assert failed[-1]["error.message"] == "RuntimeError: no answer of [redacted]"


def test_a_server_logs_no_values_of_requests(
    storage: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    row = {"age": 1.0, "hours": 2, "married": True, "sex": "Male"}
    with Server(storage) as server:
        server.wait_for("plan loaded")
        server.predict([row])
        for wrong in ({"sex": MARK}, {MARK: 1}, {"age": MARK}):
            with pytest.raises(urllib.error.HTTPError, match="422"):
                server.predict([row | wrong])
        assert server.stop() == 0
        server.wait_for("server stopped")
    text = "\n".join(map(json.dumps, server.seen))
    assert MARK not in text
    require_no_secret(text)
    assert len(lines_of(text)) >= 4
