"""The files for Elasticsearch and Filebeat fit the lines that we write."""

import ast
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

import ml_assets
from ml_assets.core.logs import labelled
from ml_assets_tests.kits.chart import ROOT, everything, pick, pods, render
from ml_assets_tests.kits.elastic import ELASTIC, TEMPLATE, type_of, unmapped
from ml_assets_tests.unit.observability.test_dagster_logs import logged_run

__all__ = ["logged_run"]  # a fixture

POLICY = "ml-assets-model-server-traces"
WRITERS = ("log", "write")
PREFIX = "co.elastic.logs/"
# What the ndjson parser of Filebeat calls its options.
PARSER = {"add_error_key", "expand_keys", "overwrite_keys"}


def written_fields() -> dict[str, str]:
    """Every field that a call of ours names, and where."""
    found = {}
    for path in Path(ml_assets.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
                continue
            if node.func.id not in WRITERS:
                continue
            names = {item.arg for item in node.keywords if item.arg is not None}
            for field in labelled(dict.fromkeys(names - {"level"})):
                found[field] = f"{path.name}:{node.lineno}"
    return found


def test_every_field_that_our_code_names_is_mapped() -> None:
    fields = written_fields()
    assert {"server.port", "labels.model", "event.reason"} <= fields.keys()
    missing = [f"{name} ({at})" for name, at in fields.items() if not type_of(name, "")]
    assert missing == []


def test_every_field_of_the_lines_of_a_run_is_mapped(
    logged_run: tuple[str, list[dict[str, Any]]],
) -> None:
    assert unmapped(logged_run[1]) == []


@pytest.mark.parametrize(
    "line", [{"row.age": 41}, {"server.port": "8080"}, {"message": 1}, {"event": "x"}]
)
def test_a_field_that_is_not_mapped_is_noticed(line: dict[str, Any]) -> None:
    assert len(unmapped([line])) == 1


def test_the_template_sends_every_line_through_the_pipeline() -> None:
    settings = TEMPLATE["template"]["settings"]
    docs = (ROOT / "docs" / "logs-and-traces.md").read_text()
    assert f"_ingest/pipeline/{settings['index.default_pipeline']}" in docs
    filebeat = yaml.safe_load((ELASTIC / "filebeat.yml").read_text())
    (pattern,) = TEMPLATE["index_patterns"]
    index = filebeat["output.elasticsearch"]["index"]
    assert index.startswith(pattern.removesuffix("*"))
    assert TEMPLATE["data_stream"] == {}


def test_the_pipeline_sets_fields_that_are_mapped() -> None:
    pipeline = json.loads((ELASTIC / "ingest-pipeline.json").read_text())
    for step in (*pipeline["processors"], *pipeline["on_failure"]):
        ((_, options),) = step.items()
        if options["field"] != "*":
            assert type_of(options["field"], "") is not None, options


def hints(annotations: dict[str, str]) -> dict[str, str]:
    return {
        name.removeprefix(PREFIX): value
        for name, value in annotations.items()
        if name.startswith(PREFIX)
    }


def test_every_pod_that_stays_asks_filebeat_to_read_it() -> None:
    for pod in pods(everything()):
        if not pod.owner.startswith(("Deployment/", "StatefulSet/")):
            continue
        found = hints(pod.metadata["annotations"])
        assert found.pop("enabled") == "true", pod.owner
        is_ours = "mlflow" not in pod.owner
        expected = {f"json.{name}": "true" for name in PARSER} if is_ours else {}
        assert found == expected, pod.owner


def test_servers_and_exporter_send_traces_where_an_endpoint_is_set() -> None:
    traced = set()
    for pod in pods(everything()):
        for container in pod.containers:
            env = {item["name"]: item.get("value") for item in container.get("env", [])}
            if "OTEL_EXPORTER_OTLP_ENDPOINT" in env:
                traced.add(container["name"])
                assert env["OTEL_TRACES_SAMPLER"] == "parentbased_traceidratio"
                assert env["OTEL_TRACES_SAMPLER_ARG"] == "0.01"
    assert traced == {"model-server", "exporter"}
    assert "4318" in json.dumps(pick(everything(), "NetworkPolicy", POLICY))
    assert "OTEL" not in json.dumps(render())
    assert POLICY not in json.dumps(render())


def test_dagsters_pods_and_runs_write_lines_that_filebeat_reads() -> None:
    values = yaml.safe_load((ROOT / "helm" / "dagster" / "values.yaml").read_text())
    (location,) = values["dagster-user-deployments"]["deployments"]
    run = values["runLauncher"]["config"]["k8sRunLauncher"]["runK8sConfig"]
    parts = [
        (values["dagsterWebserver"]["env"], values["dagsterWebserver"]["annotations"]),
        (values["dagsterDaemon"]["env"], values["dagsterDaemon"]["annotations"]),
        (location["env"], location["annotations"]),
        (
            run["containerConfig"]["env"],
            run["podTemplateSpecMetadata"]["annotations"],
        ),
    ]
    site = Path("/app") / "ml_assets" / "observability" / "site"
    assert (ROOT / site.relative_to("/app") / "sitecustomize.py").exists()
    for env, annotations in parts:
        given = {item["name"]: item.get("value") for item in env}
        assert given["ML_ASSETS_LOG"] == "json"
        assert given["PYTHONPATH"] == str(site)
        expected = {f"json.{name}": "true" for name in PARSER}
        assert hints(annotations) == {"enabled": "true", **expected}
