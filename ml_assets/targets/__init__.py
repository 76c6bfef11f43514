"""Where a plan is rolled out: one small protocol, one module per kind of target."""

from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol

from ml_assets.records.plan import ServingPlan


class TargetError(Exception):
    """The target cannot be used: it is not known, or settings of it are missing."""


class RolloutError(Exception):
    """A plan was not activated; what served before serves on."""


class UnreachableError(RolloutError):
    """What a rollout needs did not answer, or is busy: nothing is known of the plan."""


class Rollout(NamedTuple):
    """An active plan, and how many running servers said that they serve it."""

    plan: ServingPlan
    servers: int


class Target(Protocol):
    """Activates plans."""

    def current(self, model: str) -> ServingPlan | None:
        """The active plan, or None where the model was never deployed."""

    def history(self, model: str) -> list[ServingPlan]:
        """Every plan that was active, oldest first."""

    def lock(self, model: str) -> AbstractContextManager[None]:
        """Held by whoever decides on and applies a plan of `model`."""

    def apply(self, plan: ServingPlan) -> Rollout:
        """Activate `plan`, or raise `RolloutError` and change nothing.

        To apply the plan that is active is allowed, and makes no new one.
        """
