"""``delivery/ci`` in Dagster and Prometheus: what a run shows, and what is measured."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from ml_assets.assets.ci import KEY
from ml_assets.automation import ci as automation
from ml_assets.delivery.ci_report import MOST_WORKFLOWS
from ml_assets.delivery.ci_tables import ROWS
from ml_assets.observability.exporter.event_log import EventLogSource
from ml_assets.observability.exporter.instance import LazyInstance
from ml_assets.observability.exporter.metric_families import FoldedSeries
from ml_assets_tests.conftest import failure_of
from ml_assets_tests.kits import exporter
from ml_assets_tests.kits.github import (
    REPOSITORY,
    TOKEN,
    GitHubDouble,
    archive,
    github_double,
    junit,
)

LOCATION = dg.Definitions.merge(
    automation.build(), dg.Definitions(executor=dg.in_process_executor)
)


@pytest.fixture
def github(monkeypatch: pytest.MonkeyPatch) -> Iterator[GitHubDouble]:
    with github_double() as running:
        monkeypatch.setenv("ML_ASSETS_CI_REPOSITORY", REPOSITORY)
        monkeypatch.setenv("ML_ASSETS_CI_TOKEN", TOKEN)
        monkeypatch.setenv("ML_ASSETS_CI_API_URL", running.url)
        yield running


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    (tmp_path / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    with dg.DagsterInstance.from_config(str(tmp_path)) as found:
        yield found


def run(instance: dg.DagsterInstance) -> dg.ExecuteInProcessResult:
    job = LOCATION.resolve_job_def(automation.NAME)
    return job.execute_in_process(instance=instance, raise_on_error=False)


def shown(instance: dg.DagsterInstance) -> dict[str, Any]:
    """The metadata of the newest materialization."""
    assert run(instance).success
    event = instance.get_latest_materialization_event(KEY)
    assert event is not None and event.asset_materialization is not None
    found = event.asset_materialization.metadata
    return {name: item.value for name, item in found.items()}


def metrics(tmp_path: Path) -> exporter.Samples:
    """What an exporter that starts now shows of workflows."""
    log = EventLogSource(LazyInstance(tmp_path), FoldedSeries())
    found = exporter.polled(log)
    return {key: value for key, value in found.items() if "_ci_" in key[0]}


def test_a_red_branch_fails_no_run_and_is_shown_and_measured(
    github: GitHubDouble, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    github.add_run("success", "a")
    red = github.add_run("failure", "b")
    coverage = b'<coverage line-rate="0.5"/>'
    files = {"junit.xml": junit(good="passed", bad="failed"), "coverage.xml": coverage}
    github.add_artifact(red, archive(files))
    found = shown(instance)
    assert found["passing"] is False and found["github"] == "read"
    assert (found["tests"], found["failing"], found["flaky"]) == (2, 1, 0)
    assert "| `tests.test_a::bad` | `tests-3.11` |" in found["failing_tests"]
    assert "[`failure`](https://github.com/acme/churn/actions/runs/" in found["status"]
    assert "| 2026-11-23 | 2 | 1 | 50% |" in found["trend"]
    assert "`tests.test_a::bad` | `tests-3.11` | 1.5 |" in found["slowest_tests"]
    assert "flaky_tests" not in found and "not_read" not in found
    measured = metrics(tmp_path)

    def value(name: str, **labels: str) -> float | None:
        return exporter.value(measured, f"ml_assets_ci_{name}", **labels)

    assert value("passing", workflow="CI") == 0
    assert value("failure_ratio", workflow="CI") == 1
    assert value("run_duration_seconds", workflow="CI") == 600
    assert (value("failing_tests"), value("flaky_tests")) == (1, 0)
    assert (value("coverage_ratio"), value("tests")) == (0.5, 2)
    assert value("read_timestamp_seconds") == pytest.approx(found["read_at"])


def test_while_github_is_away_the_run_succeeds_with_what_was_known(
    github: GitHubDouble, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    github.add_run("failure")
    before = shown(instance)
    github.faults = [(401, {})]
    found = shown(instance)
    assert "answered 401" in found["github"] and found["passing"] is False
    assert found["read_at"] == before["read_at"]
    github.faults = [(429, {"Retry-After": "60"})]
    assert "rate limit is used up until" in shown(instance)["github"]
    assert exporter.value(metrics(tmp_path), "ml_assets_ci_passing", workflow="CI") == 0


def test_of_a_repository_without_runs_there_is_nothing_to_show(
    github: GitHubDouble, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    found = shown(instance)
    assert found["github"] == "read" and "passing" not in found
    named = {name for name, _ in metrics(tmp_path)}
    assert "ml_assets_ci_passing" not in named
    assert "ml_assets_ci_read_timestamp_seconds" in named


def test_workflows_with_series_are_bounded(
    github: GitHubDouble, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    for number in range(MOST_WORKFLOWS + 5):
        github.add_run(workflow=f"W{number}")
    found = shown(instance)
    assert "and 5 more" in found["newest_runs"] and ROWS == 20
    measured = [name for name, _ in metrics(tmp_path) if name.endswith("ci_passing")]
    assert len(measured) == MOST_WORKFLOWS


def test_names_from_github_are_no_markup(
    github: GitHubDouble, instance: dg.DagsterInstance
) -> None:
    address = "javascript:alert(1)"
    github.add_run(workflow="a|b\n`<img src=x>`", html_url=address)
    found = shown(instance)
    assert "| `a\\|b '<img src=x>'` |" in found["status"]
    assert "javascript" not in found["status"]


def test_the_schedule_skips_until_a_repository_is_named(
    monkeypatch: pytest.MonkeyPatch, instance: dg.DagsterInstance
) -> None:
    schedule = LOCATION.resolve_schedule_def(f"{automation.NAME}_schedule")
    context = dg.build_schedule_context(instance=instance)
    assert schedule.evaluate_tick(context).skip_message == (
        "ML_ASSETS_CI_REPOSITORY is not set: no CI is watched"
    )
    assert "ML_ASSETS_CI_REPOSITORY is not set" in failure_of(run(instance))
    monkeypatch.setenv("ML_ASSETS_CI_REPOSITORY", REPOSITORY)
    (request,) = schedule.evaluate_tick(context).run_requests
    assert request.run_config == {}
