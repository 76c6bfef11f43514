"""The code location of `benchmarks.quarter`: its models, with all they do."""

import os
from typing import Any

import dagster as dg

from benchmarks.quarter_rows import MODELS, OUTCOME
from ml_assets.automation import drift_sensor, gate_sensor
from ml_assets.components import TabularClassifier, TabularRegressor

# Where `benchmarks.quarter_export` answers.
EXPORT = "BENCHMARK_EXPORT_URL"


def spec_of(name: str) -> Any:
    """What the YAML of a model would say."""
    given: dict[str, Any] = {
        "name": name,
        "source": {"type": "http", "url": f"{os.environ[EXPORT]}/{name}.csv"},
        "target": OUTCOME,
        "estimator": {"type": "sklearn.linear_model.LogisticRegression"},
        "gate": {"threshold": 0.7},
        "monitoring": {"window_hours": 48},
    }
    if name != "demand":
        return TabularClassifier.model_validate(given)
    given["estimator"] = {"type": "sklearn.linear_model.Ridge"}
    given["gate"] = {"metric": "r2", "threshold": 0.7}
    return TabularRegressor.model_validate(given)


@dg.definitions
def defs() -> dg.Definitions:
    """The models."""
    from ml_assets_tests.conftest import definitions_of

    # Nobody wants to wait for a minute of each week.
    gate_sensor.SENSOR_SECONDS = drift_sensor.SENSOR_SECONDS = 1
    return definitions_of(*map(spec_of, MODELS))
