"""What commands act on: the models by name, the target, and the user who calls."""

import getpass
import os

from ml_assets.cli.output import Failed, reporting_errors
from ml_assets.spec.catalogue import find, survey
from ml_assets.spec.model import ModelSpec
from ml_assets.state.plans import Plans
from ml_assets.state.versions import Versions
from ml_assets.targets import Target, TargetError


def user() -> str:
    """Name of the user; the number where the system knows no name, as in containers."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


def who() -> str:
    """The user as the ledger names those who act."""
    return f"user {user()}"


def chosen_target() -> Target:
    """The target that ``ML_ASSETS_TARGET`` names.

    Raises
    ------
    Failed
        If it names none, or one whose settings are missing here.
    """
    from ml_assets.targets import configured_target

    with reporting_errors(TargetError):
        return configured_target()


def spec_of(model: str) -> ModelSpec:
    """The YAML of `model`.

    Raises
    ------
    Failed
        If there is none, with the models that there are; or if it is wrong, with the
        file and the line.
    """
    found = find(model)
    if found is not None:
        return found
    known, broken = survey()
    if model in broken:
        raise Failed(broken[model])
    if model not in known:
        raise _unknown(model, list(known))
    return known[model]


def require_known(model: str) -> None:
    """Refuse a model that has neither a YAML, nor a version, nor a plan."""
    if Versions().latest(model) or Plans().current(model) is not None:
        return
    described, broken = survey()
    known = {*described, *broken}
    if model not in known:
        stored = {*Versions().models(), *Plans().models()}
        raise _unknown(model, sorted(known | stored))


def _unknown(model: str, known: list[str]) -> Failed:
    return Failed(f"there is no model {model}; the models are: {', '.join(known)}")
