"""The code location of `benchmarks.quarter`: its three models, with all they do."""

import os
from pathlib import Path
from typing import Any

import dagster as dg

from ml_assets.automation import drift_sensor, gate_sensor
from ml_assets.components import TabularClassifier

MODELS = ("basket", "visits", "fees")


def spec_of(name: str) -> Any:
    """What the YAML of a model would say."""
    home = Path(os.environ["ML_ASSETS_HOME"])
    return TabularClassifier.model_validate(
        {
            "name": name,
            "source": {"type": "csv", "path": str(home / f"{name}.csv")},
            "target": "bought",
            "estimator": {"type": "sklearn.linear_model.LogisticRegression"},
            "gate": {"threshold": 0.7},
            "monitoring": {"window_hours": 48},
        }
    )


@dg.definitions
def defs() -> dg.Definitions:
    """The three models."""
    from ml_assets_tests.conftest import definitions_of

    # Nobody wants to wait for a minute of each week.
    gate_sensor.SENSOR_SECONDS = drift_sensor.SENSOR_SECONDS = 1
    return definitions_of(*map(spec_of, MODELS))
