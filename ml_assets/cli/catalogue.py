"""The models of this project, read from their YAML without loading Dagster."""

from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

import ml_assets
from ml_assets.cli.output import Failed
from ml_assets.model import ModelSpec
from ml_assets.serving.store import PlanStore
from ml_assets.versions import VersionStore

DEFS = Path(ml_assets.__file__).parent / "defs"
COMPONENT = "ml_assets.components.TabularClassifier"


class CatalogueError(Failed):
    """A model's YAML cannot be read."""


def model_files(defs: Path | None = None) -> list[Path]:
    """The ``defs.yaml`` of every model, sorted."""
    return sorted((defs or DEFS).rglob("defs.yaml"))


def read_specs(path: Path) -> list[ModelSpec]:
    """The models that one ``defs.yaml`` describes.

    Raises
    ------
    CatalogueError
        With the file, and each wrong key or value.
    """
    try:
        documents = list(yaml.safe_load_all(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise CatalogueError(f"{path}: {error}") from error
    return [
        _parse(path, document.get("attributes"))
        for document in documents
        if isinstance(document, dict) and document.get("type") == COMPONENT
    ]


def _parse(path: Path, attributes: Any) -> ModelSpec:
    try:
        return ModelSpec.model_validate(attributes)
    except ValidationError as error:
        found = "; ".join(
            f"{'.'.join(map(str, item['loc'])) or 'attributes'}: {item['msg']}"
            for item in error.errors(include_input=False, include_url=False)
        )
        raise CatalogueError(f"{path}: {found}") from error


def specs() -> dict[str, ModelSpec]:
    """Every model that a YAML describes, by name."""
    found = [spec for path in model_files() for spec in read_specs(path)]
    return {spec.name: spec for spec in sorted(found, key=lambda spec: spec.name)}


def spec_of(model: str) -> ModelSpec:
    """The YAML of `model`.

    Raises
    ------
    Failed
        If there is none; the message lists those that there are.
    """
    known = specs()
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
        known = {*specs(), *stored}
        if model not in known:
            raise unknown(model, sorted(known))
