"""Waiting until a version is in service."""

import time

from ml_assets.cli.output import Failed
from ml_assets.core.storage import storage_root
from ml_assets.records.plan import ServingPlan
from ml_assets.serving.models.plan_store import PlanStore

POLL_SECONDS = 0.25


def mode_of(version: str, plan: ServingPlan | None) -> str | None:
    """How `version` serves in `plan`: live, split or shadow; None if it does not."""
    arms = plan.arms if plan else ()
    return next((arm.mode for arm in arms if arm.version == version), None)


def await_service(model: str, version: str, timeout: float) -> ServingPlan:
    """Wait for a plan of `model` in which `version` serves, alone or under test.

    Raises
    ------
    Failed
        If `timeout` seconds pass without one.
    """
    store = PlanStore(storage_root())
    deadline = time.monotonic() + timeout
    while True:
        plan = store.current(model)
        if plan is not None and mode_of(version, plan):
            return plan
        if time.monotonic() > deadline:
            raise Failed(
                f"version {version} of {model} is not in service after {timeout:g} s;"
                " is a Dagster daemon running (`ml-assets dev`), and the sensor"
                f" {model}_gate on? `ml-assets deploy {model}` deploys without them"
            )
        time.sleep(POLL_SECONDS)
