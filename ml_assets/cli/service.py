"""Waiting until a version is in service."""

import time

from ml_assets.cli.output import Failed
from ml_assets.serving.plan import ServingPlan
from ml_assets.serving.store import PlanStore
from ml_assets.storage import storage_root

POLL_SECONDS = 0.25


def await_service(model: str, version: str, timeout: float) -> ServingPlan:
    """Wait for a plan of `model` in which `version` is live.

    Raises
    ------
    Failed
        If `timeout` seconds pass without one.
    """
    store = PlanStore(storage_root())
    deadline = time.monotonic() + timeout
    while True:
        plan = store.current(model)
        if plan is not None and plan.live.version == version:
            return plan
        if time.monotonic() > deadline:
            raise Failed(
                f"version {version} of {model} is not in service after {timeout:g} s;"
                " is a Dagster daemon running (`ml-assets dev`), and the sensor"
                f" {model}_gate on? `ml-assets deploy {model}` deploys without them"
            )
        time.sleep(POLL_SECONDS)
