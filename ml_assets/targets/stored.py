"""What targets have in common: plans are in the storage, whoever serves them."""

from contextlib import AbstractContextManager
from pathlib import Path

from ml_assets.records.plan import ServingPlan
from ml_assets.serving.models.plan_store import PlanStore


class StoredTarget:
    """A target whose plans are below the storage directory `root`.

    `timeout` bounds, in seconds, the wait for servers to load a plan.
    """

    def __init__(self, root: Path, timeout: float) -> None:
        self.store = PlanStore(root)
        self.timeout = timeout

    def current(self, model: str) -> ServingPlan | None:
        """The active plan, or None where the model was never deployed."""
        return self.store.current(model)

    def history(self, model: str) -> list[ServingPlan]:
        """Every plan that was active, oldest first."""
        return self.store.history(model)

    def lock(self, model: str) -> AbstractContextManager[None]:
        """Held by whoever decides on and applies a plan of `model`."""
        return self.store.lock(model)
