"""The files of a new project, and how they get into its directory."""

import keyword
import re
import sys
from importlib.metadata import version
from pathlib import Path
from string import Template
from tempfile import TemporaryDirectory

import ml_assets
from ml_assets.components.scaffolder import TabularClassifierScaffolder
from ml_assets.spec.catalogue import SHIPPED

TEMPLATES = Path(__file__).parent / "templates"
MODEL = "breast_cancer"
# Path in the project to its template; `{package}` is the name of the package.
FILES = {
    ".dockerignore": "dockerignore",
    ".github/workflows/ci.yml": "ci.yml",
    ".gitignore": "gitignore",
    ".yamllint": "yamllint",
    "Dockerfile": "Dockerfile",
    "README.md": "README.md",
    "docker/nslookup": "nslookup",
    "helm/dagster-values.yaml": "dagster-values.yaml",
    "helm/ml-assets-values.yaml": "ml-assets-values.yaml",
    "pyproject.toml": "pyproject.toml",
    "src/{package}/definitions.py": "definitions.py",
    "tests/test_definitions.py": "test_definitions.py",
}
EMPTY = ("src/{package}/__init__.py", "src/{package}/defs/__init__.py")
LISTED = 5


class ProjectRefusedError(ValueError):
    """There can be no new project of this name, or in this directory."""


def create(directory: Path, name: str | None = None) -> str:
    """Write a project into a directory that is empty or does not exist.

    Parameters
    ----------
    directory : Path
    name : str, optional
        That of the package; by default that of the directory, with `_` for `-`.

    Returns
    -------
    str
        The name of the package.

    Raises
    ------
    ProjectRefusedError
        If the directory holds anything but ``.git``, or the name is none of a package.
        Nothing was written then.
    """
    package = _package(directory, name)
    _refuse_occupied(directory)
    written = contents(package)
    is_new = not directory.exists()
    directory.mkdir(parents=True, exist_ok=True)
    try:
        # On the same file system, where moving is all or nothing for each entry.
        with TemporaryDirectory(prefix=".ml-assets-init-", dir=directory) as staging:
            for path, text in written.items():
                file = Path(staging) / path
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text, encoding="utf-8")
            for entry in sorted(Path(staging).iterdir()):
                entry.rename(directory / entry.name)
    except OSError:
        if is_new and not any(directory.iterdir()):
            directory.rmdir()
        raise
    return package


def contents(package: str) -> dict[str, str]:
    """The text of every file of a project, by its path."""
    shipped = sorted(path.parent.name for path in SHIPPED.glob("*/defs.yaml"))
    values = {
        "package": package,
        "distribution": package.replace("_", "-"),
        "model": MODEL,
        "release": ml_assets.__version__,
        "dagster": version("dagster"),
        # The chart serves them by default.
        "removed": "\n".join(f"  {name}: null" for name in shipped if name != MODEL),
    }
    found = {path.format(package=package): "" for path in EMPTY}
    for path, template in FILES.items():
        text = (TEMPLATES / f"{template}.template").read_text(encoding="utf-8")
        found[path.format(package=package)] = Template(text).substitute(values)
    model = TabularClassifierScaffolder.content(
        "ml_assets.components.TabularClassifier", MODEL
    )
    return found | {f"src/{package}/defs/{MODEL}/defs.yaml": model}


def _package(directory: Path, name: str | None) -> str:
    given = directory.resolve().name if name is None else name
    package = given.replace("-", "_")
    is_name = re.fullmatch(r"[a-z]([a-z0-9_]*[a-z0-9])?", package)
    if not is_name or keyword.iskeyword(package):
        remedy = "; name another with --name" if name is None else ""
        raise ProjectRefusedError(
            f"'{given}' cannot name a package: expected lower-case letters, digits, -"
            f" and _, beginning with a letter, and no word of Python{remedy}"
        )
    if package == ml_assets.__name__ or package in sys.stdlib_module_names:
        raise ProjectRefusedError(
            f"'{given}' is the name of a package that is there already; name another"
            " with --name"
        )
    return package


def _refuse_occupied(directory: Path) -> None:
    if directory.is_dir():
        found = sorted(item.name for item in directory.iterdir())
        found = [name for name in found if name != ".git"]
        if found:
            more = f" and {len(found) - LISTED} more" if len(found) > LISTED else ""
            raise ProjectRefusedError(
                f"{directory} is not empty, it has {', '.join(found[:LISTED])}{more};"
                " name a directory that is empty or new"
            )
