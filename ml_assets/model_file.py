"""One ``defs.yaml``: its documents, and what is wrong with them, each at its line.

The code location, ``ml-assets`` and ``dg check yaml`` all come through here, so that a
file means the same to each.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from dagster_shared.yaml_utils import parse_yamls_with_source_position
from dagster_shared.yaml_utils.source_position import SourcePositionTree
from pydantic import ValidationError

from ml_assets import trial
from ml_assets.model import ModelSpec

NAMES = ("defs.yaml", "defs.yml", "component.yaml")
TYPES = (
    "ml_assets.components.TabularClassifier",
    "ml_assets.components.tabular_classifier.TabularClassifier",
)
FOLDER = "dagster.DefsFolderComponent"
# What pydantic says of keys, in words for who writes YAML.
SURPLUS, ABSENT = "there is no such key", "is missing"
SENTENCES = {"extra_forbidden": SURPLUS, "missing": ABSENT}


class Problem(NamedTuple):
    """Something wrong, where it stands, and what would be right."""

    file: Path
    line: int
    column: int
    key: str
    message: str

    def __str__(self) -> str:
        key = f" {self.key}:" if self.key else ""
        return f"{self.file}:{self.line}:{self.column}:{key} {self.message}"


class Document(NamedTuple):
    """One component in a file, with the positions of its keys."""

    file: Path
    content: Any
    positions: SourcePositionTree
    number: int

    @property
    def is_model(self) -> bool:
        """Whether it describes a model."""
        return isinstance(self.content, dict) and self.content.get("type") in TYPES

    @property
    def attributes(self) -> Any:
        """What the model's YAML says."""
        return self.content.get("attributes")

    @property
    def name(self) -> str:
        """The model's name, or that of its folder where it says none."""
        given = self.attributes.get("name") if isinstance(self.attributes, dict) else ""
        return given if given and isinstance(given, str) else self.file.parent.name

    def problem(self, place: tuple[str | int, ...], message: str) -> Problem:
        """`message`, at the key that `place` leads to, or the last that there is."""
        at, found = self.positions, self.positions.position
        for part in place:
            if part not in at.children:
                break
            at = at.children[part]
            found = at.position
        key = ".".join(map(str, place))
        return Problem(self.file, found.start.line, found.start.col, key, message)


class ModelFileError(ValueError):
    """A file that describes no model, or a wrong one; its problems say where."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems


def files(defs: Path) -> list[Path]:
    """The YAML files below `defs` that Dagster reads, sorted."""
    return sorted(_files(defs))


def _files(folder: Path) -> Iterator[Path]:
    own = of_folder(folder)
    if own:
        yield own
    if own is None or FOLDER in own.read_text(encoding="utf-8", errors="replace"):
        for below in folder.iterdir():
            if below.is_dir() and not is_ignored(below):
                yield from _files(below)


def of_folder(folder: Path) -> Path | None:
    """The YAML file that declares what is in `folder`, if there is one."""
    candidates = (folder / name for name in NAMES)
    return next((file for file in candidates if file.is_file()), None)


def is_ignored(path: Path) -> bool:
    """Whether Dagster looks for no definitions there."""
    return path.name == "__pycache__" or path.name.startswith(".")


def read(file: Path) -> list[Document]:
    """The components that `file` declares.

    Raises
    ------
    ModelFileError
        If it is no YAML, or names a key twice.
    """
    try:
        text = file.read_text(encoding="utf-8")
        repeated = _repeated_keys(file, text)
        trees = parse_yamls_with_source_position(text, str(file))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        told = f"is no YAML: {error.problem or error.context}"
        raise ModelFileError([Problem(file, line, column, "", told)]) from error
    except (OSError, ValueError, yaml.YAMLError, TypeError, RecursionError) as error:
        told = f"cannot be read: {' '.join(str(error).split())}"
        raise ModelFileError([Problem(file, 1, 1, "", told)]) from error
    if repeated:
        raise ModelFileError(repeated)
    return [
        Document(file, tree.value, tree.source_position_tree, number)
        for number, tree in enumerate(trees)
    ]


def _repeated_keys(file: Path, text: str) -> list[Problem]:
    """YAML forbids a key twice in a mapping; PyYAML takes the last of them."""
    problems: list[Problem] = []

    seen: set[int] = set()

    def look(node: yaml.Node | None, place: tuple[str, ...]) -> None:
        # An alias stands for a node that was looked at.
        if id(node) in seen:
            return
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            for number, item in enumerate(node.value):
                look(item, (*place, str(number)))
        if not isinstance(node, yaml.MappingNode):
            return
        first: dict[str, int] = {}
        for key, value in node.value:
            name, line = str(key.value), key.start_mark.line + 1
            if name in first and name != "<<":
                told = f"stands here twice: first in line {first[name]}; remove one"
                where = ".".join((*place, name))
                column = key.start_mark.column + 1
                problems.append(Problem(file, line, column, where, told))
            first.setdefault(name, line)
            look(value, (*place, name))

    for node in yaml.compose_all(text, Loader=yaml.SafeLoader):
        look(node, ())
    return problems


def has_template(value: Any) -> bool:
    """Whether a text in `value` is a template of Dagster: holds ``{{`` or ``{%``."""
    if isinstance(value, Mapping):
        return any(map(has_template, value.values()))
    if isinstance(value, list | tuple):
        return any(map(has_template, value))
    return isinstance(value, str) and ("{{" in value or "{%" in value)


def faults(attributes: Any) -> list[tuple[tuple[str | int, ...], str]]:
    """What is wrong with a model's attributes as written: the place, and why.

    What a template stands for is open, and so is what a key means together with it.
    """
    found = list(_broken_templates(attributes, ()))
    try:
        ModelSpec.model_validate({} if attributes is None else attributes)
    except ValidationError as error:
        for item in error.errors(include_input=False, include_url=False):
            if not has_template(_at(attributes, item["loc"])):
                told = item["msg"].removeprefix("Value error, ")
                found.append((item["loc"], SENTENCES.get(item["type"], told)))
    return found


def thorough_faults(attributes: Any) -> list[tuple[tuple[str | int, ...], str]]:
    """The same, and if that is nothing, what the libraries say of the values."""
    found = faults(attributes)
    if found or has_template(attributes):
        return found
    return list(trial.faults(ModelSpec.model_validate(attributes)))


def _broken_templates(
    value: Any, place: tuple[str | int, ...]
) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Templates that cannot be read."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _broken_templates(item, (*place, key))
    elif isinstance(value, list):
        for position, item in enumerate(value):
            yield from _broken_templates(item, (*place, position))
    elif has_template(value):
        from jinja2 import Environment, TemplateSyntaxError

        try:
            Environment(autoescape=True).parse(value)
        except TemplateSyntaxError as error:
            yield place, f"the template {value!r} cannot be read: {error.message}"


def _at(value: Any, place: tuple[str | int, ...]) -> Any:
    for part in place:
        try:
            value = value[part]
        except (KeyError, IndexError, TypeError):
            return None
    return value


def problems(document: Document) -> list[Problem]:
    """What is wrong with a document that describes a model."""
    return [
        document.problem(("attributes", *place), message)
        for place, message in faults(document.attributes)
    ]
