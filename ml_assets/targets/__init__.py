"""Where a plan is rolled out: one small protocol, one module per kind of target."""

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from importlib import import_module
from typing import NamedTuple, Protocol, cast

from ml_assets.core import extras
from ml_assets.records.plan import ServingPlan

# The class of each target, in the module of the target's name. Imported only where it
# is used: their clients are heavy.
CLASSES = {
    "local": "LocalTarget",
    "docker": "DockerTarget",
    "kubernetes": "KubernetesTarget",
}


class TargetError(Exception):
    """The target cannot be used: it is not known, or settings of it are missing."""


class RolloutError(Exception):
    """A plan was not activated; what served before serves on."""


class UnreachableError(RolloutError):
    """What a rollout needs did not answer, or is busy: nothing is known of the plan."""


class Rollout(NamedTuple):
    """An active plan, and how many running servers report that they serve it."""

    plan: ServingPlan
    servers: int


# Makes a plan the active one; raises `StalePlanError` if another deployer was first.
Commit = Callable[[], None]


class Target(Protocol):
    """Activates plans."""

    def lock(self, model: str) -> AbstractContextManager[object]:
        """A lock for whoever decides on and applies a plan of `model`."""

    def apply(self, plan: ServingPlan, commit: Commit) -> Rollout:
        """Activate `plan`, or raise `RolloutError` and change nothing.

        `commit` is called once, when what serves it is prepared. The plan that is
        active is only waited for, and not committed again.
        """

    def retire(self, model: str) -> str:
        """Remove what serves a retired model; what was done, or is left to do.

        It may be repeated. `RolloutError` where something could not be removed.
        """


def configured_target() -> Target:
    """The target that ``ML_ASSETS_TARGET`` names, by default the local one.

    Raises
    ------
    TargetError
        If it names none of them, or one whose settings or packages are missing.
    """
    name = os.environ.get("ML_ASSETS_TARGET") or "local"
    if name not in CLASSES:
        raise TargetError(
            f"ML_ASSETS_TARGET is {name!r}, expected one of {', '.join(CLASSES)}"
        )
    if name in extras.MODULES:
        try:
            extras.require_extra(name, f"ML_ASSETS_TARGET {name}")
        except extras.MissingExtraError as error:
            raise TargetError(str(error)) from None
    module = import_module(f"ml_assets.targets.{name}")
    return cast(Target, getattr(module, CLASSES[name])())
