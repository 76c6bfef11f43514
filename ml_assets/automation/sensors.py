"""The sensors of a code location: one of each kind, over every model."""

from collections.abc import Iterable
from typing import Any

import dagster as dg

from ml_assets.automation.drift_sensor import drift_sensor
from ml_assets.automation.gate_sensor import gate_sensor
from ml_assets.automation.health_sensor import health_sensor
from ml_assets.spec.model import ModelSpec

# A sensor, the job that it starts, and the models for which it does.
_KINDS: list[tuple[Any, str, Any]] = [
    (gate_sensor, "deploy", lambda spec: spec.automation.gate),
    (drift_sensor, "train", lambda spec: spec.monitoring.retrain),
    (health_sensor, "rollback", lambda spec: spec.automation.health),
]


def build(specs: Iterable[ModelSpec], jobs: Iterable[Any]) -> dg.Definitions:
    """The sensors that at least one model of `specs` wants; `jobs` are all jobs."""
    named = {job.name: job for job in jobs}
    found = []
    for sensor, job, wants in _KINDS:
        own = [s for s in specs if wants(s) and f"{s.name}_{job}" in named]
        if own:
            found.append(sensor(own, [named[f"{spec.name}_{job}"] for spec in own]))
    return dg.Definitions(sensors=found)
