"""The models of the project that we work in, read from their YAML."""

from collections import defaultdict
from pathlib import Path

from pydantic import ValidationError

import ml_assets
from ml_assets.core import project
from ml_assets.spec import model_file
from ml_assets.spec.model import ModelSpec
from ml_assets.spec.model_file import Document, ModelFileError

# The models that ship with the package, which are those of no project.
SHIPPED = Path(ml_assets.__file__).parent / "defs"


class CatalogueError(ValueError):
    """A model's YAML cannot be read; the message has the file and the line."""


def folders() -> list[Path]:
    """The folders of the models: of each project that the working directory means."""
    found = project.find()
    named = [each.defs for each in found.projects] if found else [SHIPPED]
    return [folder for folder in named if folder.is_dir()]


def folder_of(model: str) -> Path | None:
    """That of the folders in which `model` is described, without reading all YAML."""
    return next((top for top in folders() if model_file.of_model(top, model)), None)


def model_files() -> list[Path]:
    """The YAML files that may describe models, sorted."""
    return [file for top in folders() for file in model_file.files(top)]


def read_specs(path: Path) -> list[ModelSpec]:
    """The models that one ``defs.yaml`` describes.

    Raises
    ------
    CatalogueError
        With the file, and the line of each wrong key or value.
    """
    try:
        return [_spec(document) for document in _models(path)]
    except ModelFileError as error:
        raise CatalogueError(str(error)) from error


def _models(path: Path) -> list[Document]:
    return [document for document in model_file.read(path) if document.is_model]


def _spec(document: Document) -> ModelSpec:
    if not model_file.has_template(document.attributes):
        try:
            return model_file.spec_of(document.attributes, document.kind)
        except ValidationError:
            raise ModelFileError(model_file.problems(document)) from None
    problems = model_file.problems(document)
    if problems:
        raise ModelFileError(problems)
    # What a template stands for is Dagster's business, which takes a second to import.
    from ml_assets.spec.component_tree import component

    try:
        found = component(document.file.parent, document.number)
    except Exception as error:  # whatever a template raises
        problem = document.problem(("attributes",), f"a template fails: {error}")
        raise ModelFileError([problem]) from error
    if not isinstance(found, ModelSpec):
        raise ModelFileError([document.problem((), "describes no model")])
    return found


def survey() -> tuple[dict[str, ModelSpec], dict[str, str]]:
    """Every model by its name, and those whose YAML is wrong, with the reason.

    A file that cannot be read at all goes by the name of its folder.
    """
    found: dict[str, list[tuple[Path, ModelSpec]]] = defaultdict(list)
    broken: dict[str, str] = {}
    for path in model_files():
        try:
            documents = _models(path)
        except ModelFileError as error:
            broken[path.parent.name] = str(error)
            continue
        for document in documents:
            try:
                spec = _spec(document)
            except ModelFileError as error:
                broken[document.name] = str(error)
            else:
                found[spec.name].append((path, spec))
    for name, specs_of_it in found.items():
        if len(specs_of_it) > 1:
            files = ", ".join(str(path) for path, _ in specs_of_it)
            broken[name] = f"the model {name} is described by each of {files}"
    good = {name: found[name][0][1] for name in sorted(found) if name not in broken}
    return good, broken


def find(model: str) -> ModelSpec | None:
    """One model, without reading the YAML of the others.

    None where this does not find it, or finds it wrong: then `survey` says why.
    """
    top = folder_of(model)
    file = model_file.of_model(top, model) if top else None
    try:
        described = read_specs(file) if file else []
    except CatalogueError:
        return None
    return next((spec for spec in described if spec.name == model), None)


def specs() -> dict[str, ModelSpec]:
    """Every model that a YAML describes rightly, by name."""
    return survey()[0]
