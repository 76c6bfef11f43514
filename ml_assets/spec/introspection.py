"""Classes of installed libraries and their parameters, read without importing them.

Great Expectations takes five seconds to import and scikit-learn two: too much for a
code location that only asks whether a name in a YAML is misspelt.
"""

import ast
import functools
import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

# Where scikit-learn keeps its estimators, and Great Expectations its rules.
RULES = "great_expectations.expectations.core"


class LibraryClass(NamedTuple):
    """A class, as its source declares it: its own module, and all its ancestors."""

    module: str
    node: ast.ClassDef

    def lineage(self) -> Iterator["LibraryClass"]:
        """The class and its ancestors inside its library, nearest first."""
        yield self
        for base in self.node.bases:
            name = base.id if isinstance(base, ast.Name) else None
            found = find_class(f"{self.module}.{name}") if name else None
            if found:
                yield from found.lineage()

    def parameters(self) -> list[str] | None:
        """What its constructor takes; None where it takes anything."""
        for kind in self.lineage():
            for node in kind.node.body:
                if isinstance(node, ast.FunctionDef) and node.name == "__init__":
                    if node.args.kwarg:
                        return None
                    given = [*node.args.args[1:], *node.args.kwonlyargs]
                    return [argument.arg for argument in given]
        return []

    def fields(self) -> dict[str, bool]:
        """The fields of a pydantic class, and whether each must be given."""
        found: dict[str, bool] = {}
        for ancestor in self.lineage():
            for node in ancestor.node.body:
                if (
                    isinstance(node, ast.AnnAssign)
                    and isinstance(node.target, ast.Name)
                    and not node.target.id.startswith("_")
                    and "ClassVar" not in ast.unparse(node.annotation)
                ):
                    is_needed = _has_no_default(node.value) and (
                        "None" not in (kind := ast.unparse(node.annotation))
                        and not kind.startswith("Optional")
                    )
                    found.setdefault(node.target.id, is_needed)
        return found


def _has_no_default(value: ast.expr | None) -> bool:
    """Whether `value`, right of the equals sign, leaves a pydantic field open."""
    if not isinstance(value, ast.Call):
        return value is None
    keywords = {keyword.arg for keyword in value.keywords}
    has_default = value.args and not (
        isinstance(value.args[0], ast.Constant) and value.args[0].value is ...
    )
    return not has_default and not keywords & {"default", "default_factory"}


@functools.cache
def find_class(path: str) -> LibraryClass | None:
    """The class at an import path of an installed library, or None.

    Examples
    --------
    >>> find_class("sklearn.linear_model.LogisticRegression").module
    'sklearn.linear_model._logistic'
    >>> find_class("sklearn.linear_model.LogisticRegressions") is None
    True
    """
    module, _, name = path.rpartition(".")
    file = _file(module)
    for node in _statements(file) if file else ():
        if isinstance(node, ast.ClassDef) and node.name == name:
            return LibraryClass(module, node)
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                if (alias.asname or alias.name) == name:
                    origin = _absolute(node, module, file)
                    if origin.partition(".")[0] == module.partition(".")[0]:
                        return find_class(f"{origin}.{alias.name}")
    return None


def rules() -> list[str]:
    """Names of the rules that the installed Great Expectations has, sorted."""
    file = _file(RULES)
    nodes = _statements(file) if file else ()
    return sorted(
        node.module
        for node in nodes
        if isinstance(node, ast.ImportFrom) and node.level == 1 and node.module
    )


def find_rule(name: str) -> LibraryClass | None:
    """The class of the rule ``expect_...``, or None if there is none."""
    file = _file(f"{RULES}.{name}")
    wanted = name.replace("_", "")
    for node in _statements(file) if file else ():
        if isinstance(node, ast.ClassDef) and node.name.lower() == wanted:
            return LibraryClass(f"{RULES}.{name}", node)
    return None


def _file(module: str) -> Path | None:
    top, *rest = module.split(".")
    spec = importlib.util.find_spec(top) if top.isidentifier() else None
    if spec is None or not spec.submodule_search_locations:
        return None
    base = Path(spec.submodule_search_locations[0]).joinpath(*rest)
    files = (base.with_suffix(".py"), base / "__init__.py")
    return next((file for file in files if file.is_file()), None)


@functools.cache
def _statements(file: Path) -> list[ast.stmt]:
    return ast.parse(file.read_text(encoding="utf-8")).body


def _absolute(node: ast.ImportFrom, module: str, file: Path | None) -> str:
    """The module that ``from ... import`` names, seen from `module`."""
    if not node.level:
        return node.module or ""
    is_package = file is not None and file.name == "__init__.py"
    parts = module.split(".")
    kept = parts[: len(parts) - node.level + is_package]
    return ".".join([*kept, *([node.module] if node.module else [])])
