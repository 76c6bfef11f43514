"""Python of the project itself that models name: what is trusted, and its source.

Importing a module runs it. A model's YAML, a registered version or a request can name
any; only the packages that the project trusts are ever imported. Who starts a process
decides that, by a setting, and nothing that the process reads.
"""

import hashlib
import importlib
import importlib.util
import os
import re
import sys
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

SETTING = "ML_ASSETS_TRUSTED"
PROJECT = "pyproject.toml"
_NAME = re.compile(r"[A-Za-z_]\w*")
_PATH = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")
_WORD = re.compile(rb"[A-Za-z_]\w*")
# Of which an allow-list names single classes, for the rest of them can run anything.
_LIBRARIES = {
    *("ml_assets", "numpy", "pandas", "scipy", "sklearn", "skops", "joblib"),
    *("lightgbm", "xgboost", "catboost"),
    *sys.stdlib_module_names,
}


class UserCodeError(ValueError):
    """Code that is not trusted, is not there, or is not what was named."""


def trusted_packages(environ: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """The packages whose code this process may import for models, sorted.

    Those of the variable ``ML_ASSETS_TRUSTED``, separated by commas; where it is not
    set, those that ``[tool.ml_assets]`` has under ``trusted`` in the ``pyproject.toml``
    of the working directory, or of the nearest directory above it that has one.

    Raises
    ------
    UserCodeError
        If a name is that of no package of the project's own.

    Examples
    --------
    >>> trusted_packages({"ML_ASSETS_TRUSTED": "my_project, my_other"})
    ('my_other', 'my_project')
    >>> trusted_packages({"ML_ASSETS_TRUSTED": "os"})
    Traceback (most recent call last):
    ...
    ml_assets.core.user_code.UserCodeError: ML_ASSETS_TRUSTED names 'os', expected \
packages of the project's own such as my_project
    """
    text = environ.get(SETTING)
    if text is None:
        where, names = _of_project(Path.cwd())
    else:
        where, names = SETTING, [name.strip() for name in text.split(",")]
    for name in filter(None, names):
        if not _NAME.fullmatch(name) or name in _LIBRARIES:
            raise UserCodeError(
                f"{where} names {name!r}, expected packages of the project's own such"
                " as my_project"
            )
    return tuple(sorted({*filter(None, names)}))


def _of_project(directory: Path) -> tuple[str, list[str]]:
    """Where the project's setting stands, and the names that it has."""
    files = (folder / PROJECT for folder in (directory, *directory.parents))
    file = next((file for file in files if file.is_file()), None)
    if file is None:
        return PROJECT, []
    try:
        settings = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserCodeError(f"{file} cannot be read: {error}") from error
    names = settings.get("tool", {}).get("ml_assets", {}).get("trusted", [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise UserCodeError(
            f"{file}: trusted is {names!r}, expected a list of packages such as"
            ' ["my_project"]'
        )
    return f"trusted in {file}", names


def is_trusted(path: str) -> bool:
    """Whether a module, class or function is in a package that is trusted."""
    return path.partition(".")[0] in trusted_packages()


def require_trusted(path: str) -> None:
    """Refuse the path of something that is not in a trusted package.

    Raises
    ------
    UserCodeError
        With the packages that are trusted, and where more are named.
    """
    if not _PATH.fullmatch(path):
        raise UserCodeError(
            f"'{path}' is no import path; expected one such as"
            " my_project.features.Ratios"
        )
    if not is_trusted(path):
        known = ", ".join(trusted_packages()) or "none"
        raise UserCodeError(
            f"'{path}' is in no package that is trusted (trusted: {known}); name its"
            f' package under [tool.ml_assets] in {PROJECT}, trusted = ["my_project"],'
            f" or in {SETTING}"
        )


def load(path: str) -> Any:
    """The class or function at an import path, which has to be trusted.

    Raises
    ------
    UserCodeError
        If it is not trusted, cannot be imported, or was defined elsewhere: what a
        trusted module imports of others is not thereby trusted.
    """
    require_trusted(path)
    module, _, name = path.rpartition(".")
    try:
        found = getattr(importlib.import_module(module), name)
    except Exception as error:  # whatever running the module raises
        raise UserCodeError(f"{path} cannot be imported: {error!r}") from error
    origin = getattr(found, "__module__", None)
    if not callable(found) or not isinstance(origin, str) or not is_trusted(origin):
        raise UserCodeError(
            f"{path} is {found!r}, expected a class or function that is defined in a"
            " trusted package"
        )
    return found


def load_class(path: str) -> type[Any]:
    """The class at an import path, which has to be trusted.

    Raises
    ------
    UserCodeError
        As `load` does, and if it is no class.
    """
    found = load(path)
    if not isinstance(found, type):
        raise UserCodeError(f"{path} is {found!r}, expected a class")
    return found


def find_module(module: str) -> Path | None:
    """The source file of a module, which is not imported for it; None without one."""
    top, *rest = module.split(".")
    directories, file = _installed(top)
    if file is not None:
        return file if not rest else None
    for directory in directories:
        path = directory.joinpath(*rest)
        for found in (path / "__init__.py", path.with_suffix(".py")):
            if found.is_file():
                return found
    return None


def source_files(package: str) -> dict[str, Path]:
    """The Python files of a package by their names below its parent, sorted.

    Examples
    --------
    >>> source_files("email")["email/mime/text.py"].name
    'text.py'
    """
    directories, file = _installed(package)
    if file is not None:
        return {file.name: file}
    found = {
        path.relative_to(directory.parent).as_posix(): path
        for directory in directories
        for path in directory.rglob("*.py")
    }
    return dict(sorted(found.items()))


def source_digests(paths: Iterable[str]) -> dict[str, str]:
    """SHA-256 of the source of the packages that some code is made of, by name.

    Parameters
    ----------
    paths : iterable of str
        Packages, or what they define. Another trusted package counts as well where the
        source of one of them has its name.

    Returns
    -------
    dict of str to str
        It covers the names and the contents of all Python files of a package; one that
        is not trusted, or not installed, has none.
    """
    pending = [path.partition(".")[0] for path in paths]
    # Most models name none, and then no setting is read.
    trusted = trusted_packages() if pending else ()
    found: dict[str, str] = {}
    while pending:
        package = pending.pop()
        if package in found or package not in trusted:
            continue
        texts = {
            name: file.read_bytes() for name, file in source_files(package).items()
        }
        if texts:
            found[package] = _digest(texts)
        words = {*_WORD.findall(b"\n".join(texts.values()))}
        pending += [other for other in trusted if other.encode() in words]
    return dict(sorted(found.items()))


def _digest(texts: Mapping[str, bytes]) -> str:
    digest = hashlib.sha256()
    for name, text in texts.items():
        for part in (name.encode(), text):
            digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()


def _installed(package: str) -> tuple[list[Path], Path | None]:
    """The directories of a package; or the file, where it is a single module."""
    found = importlib.util.find_spec(package) if _NAME.fullmatch(package) else None
    if found is None:
        return [], None
    if found.submodule_search_locations is not None:
        return [Path(item) for item in found.submodule_search_locations], None
    return [], Path(found.origin) if found.has_location and found.origin else None
