"""What of the project's own Python a YAML names, found in its source.

Nothing is imported for it: see `ml_assets.spec.introspection`.
"""

import ast
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ml_assets.core.boosters import BOOSTERS
from ml_assets.core.user_code import UserCodeError, find_module, require_trusted
from ml_assets.spec.base import Fault
from ml_assets.spec.expectations import did_you_mean
from ml_assets.spec.metrics import METRICS

if TYPE_CHECKING:
    from ml_assets.spec.model import ModelSpec

LIBRARY = "sklearn."
# Both name the class of an estimator inside params; `type` as outside of them.
TYPE_KEYS = ("type", "path")


def class_faults(path: str, params: Mapping[str, Any] | None = None) -> Iterator[Fault]:
    """What is wrong with the path of a class, or with the names of its parameters."""
    found, fault = _find(path, "class")
    if fault:
        yield ("type",), fault
    if not isinstance(found, ast.ClassDef):
        return
    known = _parameters(found)
    for name in params or ():
        if known is not None and name not in known:
            yield (
                ("params", name),
                f"{path} has no parameter '{name}'{did_you_mean(name, known)}; it has"
                f" {', '.join(known) or 'none'}",
            )


def function_faults(path: str) -> Iterator[str]:
    """Why a path leads to no function of a trusted package."""
    _, fault = _find(path, "function")
    if fault:
        yield fault


def metric_faults(paths: Sequence[str]) -> Iterator[Fault]:
    """What is wrong with the functions of metrics, each of which goes by its name."""
    seen: set[str] = set()
    for position, path in enumerate(paths):
        name = path.rpartition(".")[2]
        for fault in function_faults(path):
            yield (position,), fault
        if name in METRICS or name in seen:
            whose = "the platform's own" if name in METRICS else "another's"
            yield (position,), f"'{name}' is the name of a metric already, {whose}"
        seen.add(name)


def classes_of(spec: "ModelSpec") -> list[str]:
    """The paths of the project's own classes that training imports."""
    transform, search = spec.features.transform, spec.search
    parts = [spec.estimator.model_dump(), search.params if search else {}]
    return [*([transform] if transform else []), *_paths_in(parts)]


def _paths_in(value: Any) -> Iterator[str]:
    """The same among estimators that parameters nest."""
    if isinstance(value, list):
        for item in value:
            yield from _paths_in(item)
    if isinstance(value, Mapping):
        for key, item in value.items():
            if key not in TYPE_KEYS or not isinstance(item, str):
                yield from _paths_in(item)
            elif is_own(item):
                yield item


def is_own(path: str) -> bool:
    """Whether the path of an estimator is that of the project's own Python."""
    return "." in path and not path.startswith(LIBRARY) and path not in BOOSTERS


def _find(path: str, noun: str) -> tuple[ast.stmt | None, str]:
    """The statement that binds the last name of `path`, and what is wrong with it."""
    try:
        require_trusted(path)
    except UserCodeError as error:
        return None, str(error)
    module, _, name = path.rpartition(".")
    file = find_module(module)
    if file is None:
        return None, f"there is no module {module} in this environment"
    try:
        statements = _bindings(file)
    except (OSError, SyntaxError, ValueError) as error:
        return None, f"{file} cannot be read: {error}"
    found = statements.get(name)
    kinds = {ast.ClassDef: "class", ast.FunctionDef: "function"}
    if found is None and "*" not in statements:
        wanted = sorted(
            key for key, item in statements.items() if kinds.get(type(item)) == noun
        )
        return None, (
            f"{module} has no {noun} '{name}'{did_you_mean(name, wanted)}; it has"
            f" {', '.join(wanted) or 'none'}"
        )
    is_kind = kinds.get(type(found))
    if is_kind is not None and is_kind != noun:
        return None, f"{path} is a {is_kind}, expected a {noun}"
    return found, ""


def _bindings(file: Path) -> dict[str, ast.stmt]:
    """The names that a module binds, with the statements; ``*`` where any may be."""
    found: dict[str, ast.stmt] = {}
    pending = list(ast.parse(file.read_text(encoding="utf-8")).body)
    while pending:
        node = pending.pop()
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            found[node.name] = node
        elif isinstance(node, ast.Import | ast.ImportFrom):
            for alias in node.names:
                found[(alias.asname or alias.name).partition(".")[0]] = node
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            for target in ast.walk(node):
                if isinstance(target, ast.Name) and isinstance(target.ctx, ast.Store):
                    found[target.id] = node
        else:
            pending += [
                part
                for part in ast.walk(node)
                if part is not node and isinstance(part, ast.stmt)
            ]
    return found


def _parameters(node: ast.ClassDef) -> list[str] | None:
    """What a class's own constructor takes; None where an ancestor may say it."""
    for item in node.body:
        if isinstance(item, ast.FunctionDef) and item.name == "__init__":
            if item.args.kwarg:
                return None
            given = [*item.args.args[1:], *item.args.kwonlyargs]
            return [argument.arg for argument in given]
    return None
