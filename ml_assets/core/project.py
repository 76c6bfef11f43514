"""The `dg` project or workspace that a process works in, by its TOML file.

A project names its package under ``[tool.dg.project]`` of ``pyproject.toml``, or under
``[project]`` of ``dg.toml``; a workspace lists its projects, each a code location.
"""

import functools
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple


class ProjectError(ValueError):
    """The TOML file of a project or workspace cannot be used."""


class Project(NamedTuple):
    """One `dg` project.

    Attributes
    ----------
    root
        The directory of its TOML file.
    defs
        The folder of its components, such as ``src/shop/defs``.
    target
        The module of its code location, such as ``shop.definitions``.
    """

    root: Path
    defs: Path
    target: str


class Found(NamedTuple):
    """Where state belongs, and the projects whose models are meant.

    Attributes
    ----------
    root
        The workspace, whose code locations share one state; of a project in none, the
        project.
    projects
        That of the directory; all of the workspace in a directory of no project.
    """

    root: Path
    projects: tuple[Project, ...]


def find(directory: Path | None = None) -> Found | None:
    """The project or workspace that a directory is in; None where it is in neither.

    Parameters
    ----------
    directory : Path, optional
        The working directory by default.

    Raises
    ------
    ProjectError
        With the file, what it says, and what was expected.
    """
    return _find(directory or Path.cwd())


@functools.lru_cache(maxsize=16)
def _find(directory: Path) -> Found | None:
    above = list(_above(directory))
    if not above:
        return None
    (file, settings), *rest = above
    if _is_workspace(settings):
        roots = _members(file, settings)
        return Found(file.parent, tuple(map(_member, roots)))
    spaces = (
        other.parent
        for other, given in rest
        if _is_workspace(given) and file.parent in _members(other, given)
    )
    return Found(next(spaces, file.parent), (_project(file, settings),))


def _above(directory: Path) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    """The TOML files of `dg` from a directory upwards, and their settings of it."""
    for folder in (directory, *directory.parents):
        for name in ("dg.toml", "pyproject.toml"):
            file = folder / name
            settings = _settings(file) if file.is_file() else {}
            if "project" in settings or _is_workspace(settings):
                yield file, settings
                break


def _settings(file: Path) -> Mapping[str, Any]:
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ProjectError(f"{file} cannot be read: {error}") from error
    found = content if file.name == "dg.toml" else content.get("tool", {}).get("dg", {})
    return found if isinstance(found, dict) else {}


def _is_workspace(settings: Mapping[str, Any]) -> bool:
    return "workspace" in settings or settings.get("directory_type") == "workspace"


def _members(file: Path, settings: Mapping[str, Any]) -> list[Path]:
    """The directories of a workspace's projects."""
    listed = settings.get("workspace", {}).get("projects", [])
    try:
        return [file.parent.joinpath(item["path"]).resolve() for item in listed]
    except (KeyError, TypeError) as error:
        raise ProjectError(
            f"{file}: projects of the workspace is {listed!r}, expected a list such as"
            ' [{path = "projects/shop"}]'
        ) from error


def _member(root: Path) -> Project:
    found = next(_above(root), None)
    if found is None or found[0].parent != root:
        raise ProjectError(
            f"the workspace lists {root}, where no pyproject.toml or dg.toml has a"
            " project"
        )
    return _project(*found)


def _project(file: Path, settings: Mapping[str, Any]) -> Project:
    given = settings["project"]
    package = given.get("root_module") if isinstance(given, dict) else None
    if not isinstance(package, str) or not package:
        raise ProjectError(
            f"{file}: root_module of the project is {package!r}, expected the name of"
            " its package"
        )
    parts = str(given.get("defs_module") or f"{package}.defs").split(".")
    target = str(given.get("code_location_target_module") or f"{package}.definitions")
    tops = (file.parent / "src", file.parent)
    top = next((top for top in tops if (top / parts[0]).is_dir()), file.parent)
    return Project(file.parent, top.joinpath(*parts), target)
