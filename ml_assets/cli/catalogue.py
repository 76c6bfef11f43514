"""The models of this project, as the commands ask for them by name."""

from pathlib import Path

from ml_assets.cli.output import Failed
from ml_assets.serving.models.plan_store import PlanStore
from ml_assets.spec.catalogue import survey
from ml_assets.spec.model import ModelSpec
from ml_assets.state.versions import VersionStore


def spec_of(model: str) -> ModelSpec:
    """The YAML of `model`.

    Raises
    ------
    Failed
        If there is none, or it is wrong; the message lists those that there are, or
        says where it is wrong.
    """
    known, broken = survey()
    if model in broken:
        raise Failed(broken[model])
    if model not in known:
        raise unknown(model, list(known))
    return known[model]


def unknown(model: str, known: list[str]) -> Failed:
    """The refusal of a model that nobody knows."""
    return Failed(f"there is no model {model}; the models are: {', '.join(known)}")


def require_known(model: str, root: Path) -> None:
    """Refuse a model that has neither a YAML, nor a version, nor a plan."""
    stored = {*VersionStore(root).models(), *PlanStore(root).models()}
    if model not in stored:
        described, broken = survey()
        known = {*described, *broken, *stored}
        if model not in known:
            raise unknown(model, sorted(known))
