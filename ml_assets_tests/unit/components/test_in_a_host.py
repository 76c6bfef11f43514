"""The components in a project of somebody else, which Dagster loads by itself."""

import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from ml_assets.components import TabularClassifier, TabularRegressor
from ml_assets.components.tabular_model import TabularModel
from ml_assets_tests.kits.cli import invoke
from ml_assets_tests.kits.host import make_host

MODELS = ("first_model", "second_model")
KINDS = {"gate": "deploy", "drift": "train", "health": "rollback"}
HEAVY = ("mlflow", "great_expectations", "sklearn", "xgboost", "lightgbm", "catboost")
# What models alone need.
OF_MODELS = ("ml_assets.assets", "ml_assets.state", "ml_assets.automation")
LOAD = """
import sys
from ml_assets import components
from {name}.definitions import defs

defs().get_repository_def().get_all_jobs()
print(sorted(sys.modules.keys() & set({heavy!r})))
"""


@pytest.fixture
def load(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., dg.Definitions]:
    """Makes a host of a name, works in it, and loads its definitions."""

    def loaded(name: str, *models: str) -> Any:
        root = make_host(tmp_path / name, name, *models)
        monkeypatch.syspath_prepend(root / "src")
        monkeypatch.chdir(root)
        return import_module(f"{name}.definitions").defs()

    return loaded


def test_the_models_bring_what_runs_them(load: Callable[..., dg.Definitions]) -> None:
    found = load("host_of_two", *MODELS)
    repository = found.get_repository_def()
    jobs = set(repository.job_names)
    assert jobs >= {f"{model}_{job}" for model in MODELS for job in KINDS.values()}
    for model in MODELS:
        for name, job in KINDS.items():
            sensor = repository.get_sensor_def(f"{model}_{name}")
            # Health has the servers follow the chart's template as well.
            jobs_of = [job, "deploy"] if name == "health" else [job]
            expected = [f"{model}_{item}" for item in jobs_of]
            assert [item.job_name for item in sensor.targets] == expected
            assert sensor.default_status == dg.DefaultSensorStatus.RUNNING
    scheduled = {schedule.name for schedule in repository.schedule_defs}
    assert scheduled >= {f"{model}_schedule" for model in MODELS}


def test_what_is_the_hosts_own_is_left_alone(
    load: Callable[..., dg.Definitions],
) -> None:
    alone = load("host_of_none").get_repository_def()
    beside = load("host_of_one", MODELS[0]).get_repository_def()
    own = dg.AssetKey("sales")
    for repository in (alone, beside):
        asset_job = repository.get_implicit_job_def_for_assets([own])
        assert asset_job is not None
        assert asset_job.executor_def.name == "multiprocess"
        resources = repository.get_top_level_resources()
        assert {type(resources[key]).__name__ for key in ("io_manager", "steps")}
        assert "gate" in {sensor.name for sensor in repository.sensor_defs}
        done = asset_job.execute_in_process(asset_selection=[own])
        assert done.success and done.output_for_node("sales") == "rows"
    added = {*beside.get_top_level_resources()} - {*alone.get_top_level_resources()}
    assert added == {"ml_assets_tables", "ml_assets_steps"}
    train = beside.get_job(f"{MODELS[0]}_train")
    assert train.executor_def.name == "in_process"


def test_commands_act_on_the_models_of_the_project(
    load: Callable[..., dg.Definitions],
) -> None:
    load("host_of_commands", *MODELS)
    result = invoke("models", "--json")
    assert result.exit_code == 0, result.stderr
    for model in MODELS:
        assert f'"{model}"' in result.stdout
    assert "census_income" not in result.stdout
    unknown = invoke("train", "breast_cancer")
    assert unknown.exit_code == 1
    assert f"the models are: {', '.join(MODELS)}" in unknown.stderr


def test_a_command_finds_the_job_of_a_model(
    load: Callable[..., dg.Definitions],
) -> None:
    from ml_assets.definitions import job

    load("host_of_jobs", *MODELS)
    assert job("second_model_train").name == "second_model_train"


@pytest.mark.parametrize("models", [(), MODELS[:1]])
def test_loading_imports_only_what_it_needs(
    tmp_path: Path, models: tuple[str, ...]
) -> None:
    name = f"light_host_{len(models)}"
    root = make_host(tmp_path, name, *models)
    script = f"import sys; sys.path.insert(0, {str(root / 'src')!r})"
    unwanted = HEAVY if models else HEAVY + OF_MODELS
    script += LOAD.format(name=name, heavy=unwanted)
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("kind", [TabularClassifier, TabularRegressor])
def test_a_schema_is_each_callers_own(kind: type[TabularModel]) -> None:
    schema = kind.model().model_json_schema()
    again = kind.model().model_json_schema()
    again["properties"].clear()
    assert kind.model().model_json_schema() == schema
    assert schema == kind.model().model_json_schema(by_alias=True)
    assert schema["properties"].keys() & {"interval", "positive"} == {
        "positive" if kind is TabularClassifier else "interval"
    }
