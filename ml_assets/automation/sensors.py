"""The sensors of a code location: one of each kind, over every model."""

from collections.abc import Iterable
from typing import Any

import dagster as dg

from ml_assets.automation import drift_sensor, gate_sensor, health_sensor
from ml_assets.spec.model import ModelSpec

# A sensor, its name, the jobs that it starts, and the models for which it does.
_KINDS: list[tuple[Any, str, tuple[str, ...], Any]] = [
    (
        gate_sensor.gate_sensor,
        gate_sensor.NAME,
        ("deploy",),
        lambda spec: spec.automation.gate,
    ),
    (
        drift_sensor.drift_sensor,
        drift_sensor.NAME,
        ("train",),
        lambda spec: spec.monitoring.retrain,
    ),
    (
        health_sensor.health_sensor,
        health_sensor.NAME,
        ("rollback", "deploy"),
        lambda spec: spec.automation.health,
    ),
]


def build(
    specs: Iterable[ModelSpec], jobs: Iterable[Any], prefix: str = ""
) -> dg.Definitions:
    """The sensors that at least one model of `specs` wants.

    Parameters
    ----------
    jobs : iterable of jobs
        All jobs of the models.
    prefix : str, default ""
        Beginning of the sensors' names, where they are not the only ones.
    """
    named = {job.name: job for job in jobs}
    found = []
    for sensor, name, kinds, wants in _KINDS:
        own = [s for s in specs if wants(s) and f"{s.name}_{kinds[0]}" in named]
        if own:
            jobs_of = [f"{spec.name}_{kind}" for kind in kinds for spec in own]
            targets = [named[job] for job in jobs_of if job in named]
            found.append(sensor(own, targets, f"{prefix}{name}"))
    return dg.Definitions(sensors=found)
