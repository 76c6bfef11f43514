"""One ``defs.yaml``: its documents, and what is wrong with them, each at its line.

The code location, ``ml-assets`` and ``dg check yaml`` all come through here, so that a
file means the same to each.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from pydantic import ValidationError

from ml_assets.spec.base import Fault, Location, raise_faults, with_found
from ml_assets.spec.metrics import Kind
from ml_assets.spec.model import ModelSpec

NAMES = ("defs.yaml", "defs.yml", "component.yaml")
# The components that are models, and what each predicts.
TYPES: dict[str, Kind] = {
    "ml_assets.TabularClassifier": "classification",
    "ml_assets.TabularRegressor": "regression",
    "ml_assets.components.TabularClassifier": "classification",
    "ml_assets.components.tabular_classifier.TabularClassifier": "classification",
    "ml_assets.components.TabularRegressor": "regression",
    "ml_assets.components.tabular_regressor.TabularRegressor": "regression",
}
FOLDER = "dagster.DefsFolderComponent"
# Pydantic's errors on keys, in words for who writes YAML.
SURPLUS, ABSENT = "there is no such key", "is missing"
MESSAGES = {"extra_forbidden": SURPLUS, "missing": ABSENT}

# Written in C where that is installed, which is ten times as fast.
_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_Base):  # type: ignore[misc]
    """Reads as Dagster does: a date stays the text that it is."""

    yaml_implicit_resolvers = {
        first: [(tag, form) for tag, form in forms if not tag.endswith(":timestamp")]
        for first, forms in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


class Problem(NamedTuple):
    """Something wrong, its position in the file, and what would be right."""

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
    node: yaml.Node
    number: int

    @property
    def is_model(self) -> bool:
        """Whether it describes a model."""
        return isinstance(self.content, dict) and self.content.get("type") in TYPES

    @property
    def kind(self) -> Kind:
        """What the model predicts; only a document of a model has one."""
        return TYPES[self.content["type"]]

    @property
    def attributes(self) -> Any:
        """The model's keys and values."""
        return self.content.get("attributes")

    @property
    def name(self) -> str:
        """The model's name, or that of its folder where it has none."""
        given = self.attributes.get("name") if isinstance(self.attributes, dict) else ""
        return given if given and isinstance(given, str) else self.file.parent.name

    def problem(self, location: Location, message: str) -> Problem:
        """`message`, at the key that `location` leads to, or the last that exists."""
        node, mark = self.node, self.node.start_mark
        for part in location:
            below = _below(node, part)
            if below is None:
                break
            node, mark = below
        key = ".".join(map(str, location))
        return Problem(self.file, mark.line + 1, mark.column + 1, key, message)


def _below(node: yaml.Node, part: str | int) -> tuple[yaml.Node, Any] | None:
    """The value under a key, or at a position of a list, and its mark in the file."""
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int):
        items = node.value[part : part + 1]
        return (items[0], items[0].start_mark) if items else None
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == str(part):
                return value, key.start_mark
    return None


class ModelFileError(ValueError):
    """A file that describes no model, or a wrong one; its problems have the lines."""

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
    """Whether Dagster searches it for no definitions."""
    return path.name == "__pycache__" or path.name.startswith(".")


def read(file: Path) -> list[Document]:
    """The components that `file` declares.

    Raises
    ------
    ModelFileError
        If it is no YAML, or names a key twice.
    """
    try:
        loader = _Loader(file.read_text(encoding="utf-8"))
        nodes = []
        while loader.check_node():
            nodes.append(loader.get_node())
        repeated = [problem for node in nodes for problem in _repeated(file, node)]
        contents = [loader.construct_document(node) for node in nodes]
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        message = f"is no YAML: {error.problem or error.context}"
        raise ModelFileError([Problem(file, line, column, "", message)]) from error
    except (OSError, ValueError, yaml.YAMLError, TypeError, RecursionError) as error:
        message = f"cannot be read: {' '.join(str(error).split())}"
        raise ModelFileError([Problem(file, 1, 1, "", message)]) from error
    if repeated:
        raise ModelFileError(repeated)
    return [
        Document(file, content, node, number)
        for number, (content, node) in enumerate(zip(contents, nodes, strict=True))
    ]


def _repeated(file: Path, document: yaml.Node) -> list[Problem]:
    """YAML forbids a key twice in a mapping; PyYAML takes the last of them."""
    problems: list[Problem] = []
    seen: set[int] = set()

    def visit(node: yaml.Node | None, location: tuple[str, ...]) -> None:
        # An alias is a node that was visited.
        if id(node) in seen:
            return
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            for number, item in enumerate(node.value):
                visit(item, (*location, str(number)))
        if not isinstance(node, yaml.MappingNode):
            return
        first: dict[str, int] = {}
        for key, value in node.value:
            name, line = str(key.value), key.start_mark.line + 1
            if name in first and name != "<<":
                message = f"stands here twice: first in line {first[name]}; remove one"
                path = ".".join((*location, name))
                column = key.start_mark.column + 1
                problems.append(Problem(file, line, column, path, message))
            first.setdefault(name, line)
            visit(value, (*location, name))

    visit(document, ())
    return problems


def has_template(value: Any) -> bool:
    """Whether a text in `value` is a template of Dagster: holds ``{{`` or ``{%``."""
    if isinstance(value, Mapping):
        return any(map(has_template, value.values()))
    if isinstance(value, list | tuple):
        return any(map(has_template, value))
    return isinstance(value, str) and ("{{" in value or "{%" in value)


def spec_of(attributes: Any, kind: Kind = "classification") -> ModelSpec:
    """The model that attributes describe, of a component that predicts `kind`.

    Raises
    ------
    ValidationError
        With the location of everything that is wrong.
    """
    given = {} if attributes is None else attributes
    if isinstance(given, Mapping):
        raise_faults([(("task",), SURPLUS)] if "task" in given else [])
        given = given if kind == "classification" else {**given, "task": kind}
    return ModelSpec.model_validate(given)


def faults(attributes: Any, kind: Kind = "classification") -> list[Fault]:
    """What is wrong with a model's attributes as written: the location, and why.

    The value of a template is not known, and so no key is judged together with it.
    """
    found = list(_broken_templates(attributes, ()))
    try:
        spec_of(attributes, kind)
    except ValidationError as error:
        for item in error.errors(include_input=False, include_url=False):
            value = _at(attributes, item["loc"])
            if not has_template(value):
                message = MESSAGES.get(item["type"], with_found(item["msg"], value))
                found.append((item["loc"], message))
    return found


def _broken_templates(value: Any, location: Location) -> Iterator[Fault]:
    """Templates that cannot be read."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _broken_templates(item, (*location, key))
    elif isinstance(value, list):
        for position, item in enumerate(value):
            yield from _broken_templates(item, (*location, position))
    elif has_template(value):
        from jinja2 import Environment, TemplateSyntaxError

        try:
            Environment(autoescape=True).parse(value)
        except TemplateSyntaxError as error:
            yield location, f"the template {value!r} cannot be read: {error.message}"


def _at(value: Any, location: Location) -> Any:
    for part in location:
        try:
            value = value[part]
        except (KeyError, IndexError, TypeError):
            return None
    return value


def of_model(top: Path, model: str) -> Path | None:
    """The one file below `top` that describes `model`, without a template for its name.

    Only files that have the name somewhere are read as YAML.
    """
    word = re.compile(rf"\b{re.escape(model)}\b")
    found = []
    for file in files(top):
        if not word.search(file.read_text(encoding="utf-8", errors="replace")):
            continue
        try:
            documents = read(file)
        except ModelFileError:
            continue
        if any(item.is_model and item.name == model for item in documents):
            found.append(file)
    return found[0] if len(found) == 1 else None


def problems(document: Document) -> list[Problem]:
    """What is wrong with a document that describes a model."""
    return [
        document.problem(("attributes", *location), message)
        for location, message in faults(document.attributes, document.kind)
    ]
