"""The interpreter and the installed packages."""

import platform
import sys
from collections.abc import Iterable, Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from packaging.requirements import Requirement

import ml_assets
from ml_assets.cli.checks import Finding, ok, problem, warning

LOCK = Path(ml_assets.__file__).parents[1] / "requirements.lock"
SETUP = "install what the lock file names: make setup"
OLDEST, TOO_NEW = (3, 11), (3, 14)


def check() -> Iterator[Finding]:
    """Python, our own requirements, and the lock file where it is at hand."""
    found = platform.python_version()
    if OLDEST <= sys.version_info[:2] < TOO_NEW:
        yield ok("python", f"Python {found}")
    else:
        todo = "make a virtual environment with Python 3.11, 3.12 or 3.13"
        yield problem("python", f"Python {found}, expected 3.11 to 3.13", todo)
    yield from _requirements()
    if LOCK.exists():
        yield _locked(LOCK.read_text("utf-8").splitlines())


def _requirements() -> Iterator[Finding]:
    wanted = [Requirement(text) for text in requires("ml-assets") or []]
    needed = [item for item in wanted if "extra" not in str(item.marker or "")]
    wrong = list(_wrong(needed))
    if wrong:
        yield problem("packages", "; ".join(wrong), SETUP)
    else:
        yield ok("packages", f"{len(needed)} required packages are there")


def _locked(lines: Iterable[str]) -> Finding:
    """Every ``name==version`` of the lock file that is meant for this machine."""
    names = (line.rstrip(" \\") for line in lines if line[:1].isalnum())
    locked = [Requirement(text) for text in names]
    wrong = list(_wrong(locked))
    if wrong:
        shown = "; ".join(wrong[:5]) + (" ..." if len(wrong) > 5 else "")
        return warning("lock file", f"{len(wrong)} differ: {shown}", SETUP)
    return ok("lock file", f"{len(locked)} packages are as locked")


def _wrong(wanted: Iterable[Requirement]) -> Iterator[str]:
    for item in wanted:
        if item.marker is not None and not item.marker.evaluate({"extra": ""}):
            continue
        try:
            found = version(item.name)
        except PackageNotFoundError:
            yield f"{item.name} is missing, expected {item.specifier}"
            continue
        if not item.specifier.contains(found, prereleases=True):
            yield f"{item.name} is {found}, expected {item.specifier}"
