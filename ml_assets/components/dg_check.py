"""What ``dg check yaml`` sees of a model beyond the form of its YAML.

``dg`` validates each file against the JSON schema of its component, and only one
document of each component type. A keyword of our own in the schema, which jsonschema
lets a vocabulary add, checks the meaning, and the other documents.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from jsonschema import Draft202012Validator, ValidationError

from ml_assets.components.attributes import KEYWORD
from ml_assets.components.trial import thorough_faults
from ml_assets.spec import model_file
from ml_assets.spec.metrics import Kind
from ml_assets.spec.model_file import ModelFileError, Problem


def register_keyword() -> None:
    """Add the keyword to the validators of JSON schemas."""
    Draft202012Validator.VALIDATORS[KEYWORD] = _meaning


def _meaning(
    validator: Any, value: Kind, instance: Any, schema: dict[str, Any]
) -> Iterator[ValidationError]:
    """Errors of a model's attributes that the rest of the schema does not find."""
    form = {key: item for key, item in schema.items() if key != KEYWORD}
    seen = {
        tuple(error.absolute_path)
        for error in validator.evolve(schema=form).iter_errors(instance)
    }
    for path, message in thorough_faults(instance, value):
        of_the_form = message in (model_file.SURPLUS, model_file.ABSENT)
        if path not in seen and not of_the_form:
            yield ValidationError(message, path=path)
    others = "\n".join(map(str, _of_others(instance)))
    if others:
        yield ValidationError(f"other models of this project are wrong:\n{others}\n")


def _of_others(instance: Any) -> Iterator[Problem]:
    """Problems of the models that ``dg`` leaves out, below the paths given to it."""
    context = click.get_current_context(silent=True)
    if context is None or context.info_name != "yaml":
        return
    for file in _files(context):
        try:
            documents = model_file.read(file)
        except ModelFileError as error:
            yield from error.problems
            continue
        for document in documents:
            if document.is_model and document.attributes != instance:
                for path, message in thorough_faults(
                    document.attributes, document.kind
                ):
                    yield document.problem(("attributes", *path), message)


def _files(context: click.Context) -> list[Path]:
    from dagster_dg_core.context import DgContext

    project = DgContext.for_project_environment(context.params["target_path"], {})
    wanted = [Path(path).absolute() for path in context.params["paths"]]
    return [
        file
        for file in model_file.files(project.defs_path)
        if not wanted or any(file.is_relative_to(path) for path in wanted)
    ]
