"""The code location: what it offers, and what loading it costs."""

import json
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from ml_assets.definitions import defs

SNAPSHOT = Path(__file__).parents[1] / "snapshots" / "definitions.json"
MODELS = ("breast_cancer", "census_income", "telco_churn")
SENSORS = {"gate": ("deploy",), "drift": ("train",), "health": ("rollback", "deploy")}
HEAVY = [
    "mlflow",
    "great_expectations",
    "sklearn",
    "pandas",
    "scipy",
    "matplotlib",
    "ray",
    "lightgbm",
    "xgboost",
    "catboost",
    # The client, and the library that has the executor of the model below.
    "kubernetes",
    "dagster_k8s",
]


@pytest.fixture(scope="module")
def location() -> dg.Definitions:
    return defs()  # type: ignore[operator, no-any-return]


def described(location: dg.Definitions) -> dict[str, Any]:
    graph = location.resolve_asset_graph()
    return {
        "assets": {
            key.to_user_string(): {
                "parents": sorted(
                    p.to_user_string() for p in graph.get(key).parent_keys
                ),
                "kinds": sorted(graph.get(key).kinds),
                "group": graph.get(key).group_name,
            }
            for key in sorted(graph.get_all_asset_keys())
        },
        "checks": sorted(key.to_user_string() for key in graph.asset_check_keys),
        "jobs": sorted(job.name for job in location.resolve_all_job_defs()),
        "schedules": {
            schedule.name: [schedule.cron_schedule, schedule.default_status.value]
            for schedule in location.schedules or []
        },
        "sensors": {
            sensor.name: sensor.default_status.value
            for sensor in location.sensors or []
        },
    }


def test_the_definitions_are_those_of_the_snapshot(location: dg.Definitions) -> None:
    found = json.loads(json.dumps(described(location)))
    if not SNAPSHOT.exists():
        SNAPSHOT.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")
    assert found == json.loads(SNAPSHOT.read_text()), (
        f"the code location changed; if that is meant, remove {SNAPSHOT.name}"
        " and run this test once"
    )


def test_every_asset_says_what_it_is(location: dg.Definitions) -> None:
    graph = location.resolve_asset_graph()
    for key in graph.get_all_asset_keys():
        node = graph.get(key)
        assert node.description and node.owners and node.kinds, key


def test_every_model_has_its_schedule_and_the_sensors_on(
    location: dg.Definitions,
) -> None:
    for model in MODELS:
        schedule = location.resolve_schedule_def(f"{model}_schedule")
        assert schedule.cron_schedule == "0 2 * * 0"
        assert schedule.execution_timezone == "UTC"
        assert schedule.default_status == dg.DefaultScheduleStatus.RUNNING
    for name, jobs in SENSORS.items():
        sensor = location.resolve_sensor_def(name)
        assert sensor.default_status == dg.DefaultSensorStatus.RUNNING
        assert {target.job_name for target in sensor.targets} == {
            f"{model}_{job}" for model in MODELS for job in jobs
        }


def test_loading_imports_nothing_heavy() -> None:
    script = f"""
        import gc, os, sys
        gc.disable()
        from ml_assets.automation.pods import executor_of
        from ml_assets.components import TabularClassifier
        from ml_assets.definitions import defs

        defs().resolve_all_job_defs()
        in_pods = dict(name="a", source=dict(type="synthetic"), target="b")
        in_pods["resources"] = dict(executor="k8s")
        executor_of(TabularClassifier.model_validate(in_pods))
        print([name for name in {HEAVY} if name in sys.modules], flush=True)
        # At once: to take down what was imported takes as long as the imports.
        os._exit(0)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"
