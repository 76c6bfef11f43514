"""Which target this process rolls out to: ``ML_ASSETS_TARGET``."""

import os
from importlib import import_module
from typing import cast

from ml_assets.core.storage import storage_root
from ml_assets.targets import Target, TargetError

# The class of each target, in the module of the target's name. Imported only where it
# is used: their clients are heavy.
CLASSES = {
    "local": "LocalTarget",
    "docker": "DockerTarget",
    "kubernetes": "KubernetesTarget",
}


def target() -> Target:
    """The target that ``ML_ASSETS_TARGET`` names, by default the local one.

    Raises
    ------
    TargetError
        If it names none of them, or one whose settings are missing.
    """
    name = os.environ.get("ML_ASSETS_TARGET") or "local"
    if name not in CLASSES:
        raise TargetError(
            f"ML_ASSETS_TARGET is {name!r}, expected one of {', '.join(CLASSES)}"
        )
    module = import_module(f"ml_assets.targets.{name}")
    return cast(Target, getattr(module, CLASSES[name])(storage_root()))
