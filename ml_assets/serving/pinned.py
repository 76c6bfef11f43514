"""The plans that a server of one model sees: those in force, or exactly one."""

from pathlib import Path

from ml_assets.serving.plan import ServingPlan
from ml_assets.serving.settings import ServerSettings
from ml_assets.serving.store import PlanStore


class ModelStore(PlanStore):
    """The plans of one model; the others do not exist."""

    def __init__(self, root: Path, model: str) -> None:
        super().__init__(root)
        self.model = model

    def models(self) -> list[str]:
        """The one model, if it has a plan."""
        return [name for name in super().models() if name == self.model]

    def proposal(self, model: str) -> ServingPlan | None:
        """The plan under preparation of the one model."""
        return super().proposal(model) if model == self.model else None


class PinnedStore(ModelStore):
    """One plan of one model, in force or not, and nothing that comes after it."""

    def __init__(self, root: Path, model: str, pin: str) -> None:
        super().__init__(root, model)
        self.pin = pin

    def models(self) -> list[str]:
        """The one model: to have no plan is a fault here, and not a matter of time."""
        return [self.model]

    def current(self, model: str) -> ServingPlan:
        """The plan of the pin; raises FileNotFoundError where it is missing."""
        return self.pinned(model, self.pin)

    def proposal(self, model: str) -> None:
        """None: whoever wants another plan starts another server."""


def plans_of(settings: ServerSettings) -> PlanStore:
    """The plans that a server with these settings follows."""
    root = Path(settings.storage)
    if settings.generation:
        return PinnedStore(root, settings.model, settings.generation)
    return ModelStore(root, settings.model) if settings.model else PlanStore(root)
