"""Runs in this process: what is recorded, what is printed, and how they fail."""

import json
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from ml_assets.cli import jobs
from ml_assets.state.versions import Versions
from ml_assets_tests.kits.cli import evaluated, in_service, invoke

MODEL, VERSION = "breast_cancer", "20261122T020000Z"
TRAINED = {
    "version": VERSION,
    "estimator": "DummyClassifier",
    "fit_seconds": 0.5,
    "train_rows": 8,
    "registry": f"{MODEL} version 1",
    "runtime": "sklearn",
    "runtime_reason": "DummyClassifier is not compiled",
}
DEPLOYED = {"version": VERSION, "generation": 1, "servers": 1, "runtime": "sklearn"}


class RawConfig(dg.Config):
    source: dict[str, Any] | None = None


class ModelConfig(dg.Config):
    force: bool = False


class DeploymentConfig(dg.Config):
    version: str | None = None


def fail(error: Exception) -> None:
    raise error


# What the stages do; Dagster keeps a job that it has built once.
doing: list[Callable[[], None]] = []


def body() -> None:
    for step in doing:
        step()


def toy_job(name: str) -> dg.JobDefinition:
    """A job with the stages' names and metadata, and none of their work."""

    @dg.asset(key=[MODEL, "raw"])
    def raw(config: RawConfig) -> dg.MaterializeResult:
        columns = dg.TableSchema([dg.TableColumn("age", "int64")])
        return dg.MaterializeResult(
            metadata={
                "dagster/row_count": 1200,
                "dagster/column_schema": columns,
                "source": dg.MetadataValue.json(config.source or {"type": "toy"}),
            }
        )

    @dg.asset_check(asset=raw, name="age_not_null")
    def age_not_null() -> dg.AssetCheckResult:
        return dg.AssetCheckResult(passed=False, description="2 of 1200 are missing")

    @dg.asset(key=[MODEL, "model"], deps=[raw], output_required=False)
    def model(context: dg.AssetExecutionContext, config: ModelConfig) -> Any:
        body()
        if config.force:
            yield dg.MaterializeResult(metadata=TRAINED)
        else:
            skipped = {"skipped": "unchanged since version 1"}
            yield dg.AssetObservation([MODEL, "model"], metadata=skipped)

    @dg.asset(key=[MODEL, "deployment"])
    def deployment(config: DeploymentConfig) -> dg.MaterializeResult:
        body()
        return dg.MaterializeResult(metadata=DEPLOYED)

    chosen = [deployment] if name.endswith("deploy") else [raw, model]
    keys = [item.key for item in chosen]
    definitions = dg.Definitions(
        assets=chosen,
        asset_checks=[age_not_null] if raw in chosen else [],
        jobs=[dg.define_asset_job(name, selection=dg.AssetSelection.assets(*keys))],
        executor=dg.in_process_executor,
    )
    return definitions.resolve_job_def(name)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One Dagster home for all: making its databases takes seconds."""
    return tmp_path_factory.mktemp("dagster")


@pytest.fixture(autouse=True)
def toy(shared: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(jobs, "job_named", toy_job)
    monkeypatch.setenv("DAGSTER_HOME", str(shared))
    yield
    doing.clear()


def newest_run(directory: Path) -> dg.DagsterRun:
    with dg.DagsterInstance.from_config(str(directory)) as instance:
        return instance.get_runs(limit=1)[0]


def runs_in(directory: Path) -> int:
    with dg.DagsterInstance.from_config(str(directory)) as instance:
        return instance.get_runs_count()


def test_training_reports_each_stage_and_ends_with_the_gate(home: Path) -> None:
    evaluated(home, MODEL, VERSION, 0.95, passed=True)
    result = invoke("train", MODEL, "--force")
    assert result.exit_code == 0
    assert "1,200 rows of 1 columns from toy" in result.stderr
    assert "fitted in 0.50 s on 8 rows" in result.stderr
    assert "served by scikit-learn itself: DummyClassifier is not" in result.stderr
    assert "passed  threshold: accuracy 0.9500 is above 0.8" in result.stdout


def test_a_failed_check_is_reported_with_what_was_found() -> None:
    result = invoke("train", MODEL)
    assert "age not null: 2 of 1200 are missing" in result.stderr


def test_a_run_is_recorded_in_the_instance(shared: Path) -> None:
    result = invoke("train", MODEL, "--force", "--json")
    run = newest_run(shared)
    assert json.loads(result.stdout)["run_id"] == run.run_id
    assert run.is_success


def test_without_dagster_home_the_instance_is_below_our_home(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DAGSTER_HOME")
    result = invoke("train", MODEL)
    assert "DAGSTER_HOME is not set" in result.stderr
    assert newest_run(home / "dagster").is_success
    assert "enabled: false" in (home / "dagster" / "dagster.yaml").read_text()


def test_an_unchanged_model_is_skipped_with_the_reason() -> None:
    result = invoke("train", MODEL)
    assert result.exit_code == 0
    assert "unchanged since version 1" in result.stdout


def test_another_source_reaches_the_run(shared: Path) -> None:
    result = invoke("train", MODEL, "--source", "{type: csv, path: june.csv}")
    assert "from csv june.csv" in result.stderr
    options = newest_run(shared).run_config["ops"][f"{MODEL}__raw"]["config"]
    assert options["source"] == {"type": "csv", "path": "june.csv"}


@pytest.mark.parametrize(
    "source, message",
    [
        ("{type: csv", "neither YAML nor JSON"),
        ("{type: csv}", "source type 'csv' needs path"),
        ("{type: cvs}", "type"),
        ("june.csv", "Input should be"),
    ],
)
def test_a_wrong_source_is_refused_before_anything_runs(
    shared: Path, source: str, message: str
) -> None:
    before = runs_in(shared)
    result = invoke("train", MODEL, "--source", source)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())
    assert runs_in(shared) == before


def test_a_failed_stage_fails_the_command_with_its_reason() -> None:
    doing.append(lambda: fail(dg.Failure("the disk is full", allow_retries=False)))
    result = invoke("train", MODEL)
    assert result.exit_code == 1
    assert "training: the disk is full" in result.stderr
    assert "Traceback" not in result.stderr


def test_an_unforeseen_error_is_reported_by_its_cause() -> None:
    doing.append(lambda: fail(ZeroDivisionError("no rows")))
    result = invoke("train", MODEL)
    assert result.exit_code == 1
    assert "no rows" in result.stderr


def test_an_interrupted_run_is_not_left_running(shared: Path) -> None:
    doing.append(lambda: signal.raise_signal(signal.SIGINT))
    assert invoke("train", MODEL).exit_code == 1
    assert newest_run(shared).is_finished


def test_waiting_ends_when_the_version_is_in_service(home: Path) -> None:
    evaluated(home, MODEL, VERSION, 0.95, passed=True)
    in_service(home, MODEL, VERSION)
    result = invoke("train", MODEL, "--force", "--wait", "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["in_service"] is True


def test_waiting_ends_when_the_version_is_tried_beside_the_champion(
    home: Path,
) -> None:
    evaluated(home, MODEL, VERSION, 0.95, passed=True)
    in_service(home, MODEL, "20261101T020000Z", shadow=VERSION)
    result = invoke("train", MODEL, "--force", "--wait", "--timeout", "0")
    assert result.exit_code == 0
    sentence = f"version {VERSION} is in service as shadow, beside 20261101T020000Z"
    assert sentence in result.stderr


def test_waiting_for_a_daemon_that_does_not_run_says_so(home: Path) -> None:
    evaluated(home, MODEL, VERSION, 0.95, passed=True)
    result = invoke("train", MODEL, "--force", "--wait", "--timeout", "0")
    assert result.exit_code == 1
    assert "is a Dagster daemon running (`ml-assets dev`)" in result.stderr


def test_waiting_for_a_refused_version_fails_with_the_reason(home: Path) -> None:
    evaluated(home, MODEL, VERSION, 0.7, passed=False)
    result = invoke("train", MODEL, "--force", "--wait")
    assert result.exit_code == 1
    assert "accuracy 0.7000 is not above 0.8" in result.stderr


def test_waiting_for_the_champion_again_ends_at_once(home: Path) -> None:
    evaluated(home, MODEL, VERSION, 0.95, passed=True)
    store = Versions()
    evaluation = store.evaluation(MODEL, VERSION)
    assert evaluation is not None
    evaluation["gate"]["repeats"] = True
    store.save_evaluation(MODEL, VERSION, evaluation)
    result = invoke("train", MODEL, "--force", "--wait")
    assert result.exit_code == 0
    assert "is the champion again: nothing to deploy" in result.stdout


def test_deploying_reports_the_plan(home: Path, shared: Path) -> None:
    evaluated(home, MODEL, VERSION, 0.95, passed=True)
    in_service(home, MODEL, VERSION)
    result = invoke("deploy", MODEL, "--version", VERSION, "--json")
    assert result.exit_code == 0
    document = json.loads(result.stdout)
    assert document["version"] == VERSION
    assert (document["generation"], document["servers"]) == (1, 1)
    assert newest_run(shared).tags["version"] == VERSION


def test_deploying_fails_if_another_version_serves_afterwards(home: Path) -> None:
    other = "20261130T020000Z"
    evaluated(home, MODEL, VERSION, 0.95, passed=True)
    evaluated(home, MODEL, other, 0.95, passed=True)
    in_service(home, MODEL, VERSION)
    result = invoke("deploy", MODEL, "--version", other)
    assert result.exit_code == 1
    assert f"version {other} does not serve" in result.stderr


def test_deploying_an_unknown_version_fails_before_anything_runs(shared: Path) -> None:
    before = runs_in(shared)
    result = invoke("deploy", MODEL, "--version", "20200101T000000Z")
    assert result.exit_code == 1
    assert "has no version 20200101T000000Z" in result.stderr
    assert runs_in(shared) == before


@pytest.mark.parametrize("command", ["train", "deploy"])
def test_an_unknown_model_is_refused(command: str) -> None:
    result = invoke(command, "nobody")
    assert result.exit_code == 1
    assert "there is no model nobody" in result.stderr


def test_a_dagster_home_that_is_a_file_is_named(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "file").touch()
    monkeypatch.setenv("DAGSTER_HOME", str(home / "file"))
    result = invoke("train", MODEL)
    assert result.exit_code == 1
    assert "file cannot be written" in result.stderr


def test_a_wrong_dagster_yaml_is_named(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "dagster.yaml").write_text("telemtry: {}\n")
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    result = invoke("train", MODEL)
    assert result.exit_code == 1
    assert "telemtry" in result.stderr
