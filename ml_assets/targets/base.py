"""What targets share: plans in the storage, and the preflight of a version."""

import subprocess  # nosec B404 # runs this interpreter with fixed arguments only
import sys
from contextlib import AbstractContextManager
from pathlib import Path

from ml_assets.records.plan import Arm, ServingPlan, encode
from ml_assets.serving.models.plan_store import PlanStore
from ml_assets.state.locks import deployer_lock
from ml_assets.state.plans import Plans
from ml_assets.targets import RolloutError


class BaseTarget:
    """A target whose plans are below the storage directory `root`.

    `timeout` bounds, in seconds, the wait for servers to load a plan.
    """

    def __init__(self, root: Path, timeout: float) -> None:
        self.store = PlanStore(root)
        self.timeout = timeout

    def current(self, model: str) -> ServingPlan | None:
        """The active plan, or None where the model was never deployed."""
        return Plans().current(model)

    def history(self, model: str) -> list[ServingPlan]:
        """Every plan that was active, oldest first."""
        return Plans().history(model)

    def lock(self, model: str) -> AbstractContextManager[object]:
        """A lock for whoever decides on and applies a plan of `model`."""
        return deployer_lock(model)


def preflight(root: Path, arm: Arm, timeout: float) -> None:
    """Load the arm and score its probe rows in a process of its own.

    So a version that crashes crashes no server.

    Raises
    ------
    RolloutError
        If it does not load within `timeout` seconds, crashes, or answers otherwise
        than at training.
    """
    try:
        done = subprocess.run(  # nosec B603 # fixed arguments
            [sys.executable, "-m", "ml_assets.serving.models.preflight", str(root)],
            input=encode(arm),
            capture_output=True,
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise RolloutError(
            f"version {arm.version} did not load within {timeout:g} s"
        ) from None
    if done.returncode < 0:
        raise RolloutError(
            f"version {arm.version} crashed while loading (signal {-done.returncode})"
        )
    if done.returncode:
        # Above the reason is what it logged.
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        reason = lines[-1] if lines else f"exit status {done.returncode}"
        raise RolloutError(f"version {arm.version} was refused: {reason}")
