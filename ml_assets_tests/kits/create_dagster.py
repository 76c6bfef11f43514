"""Projects as `create-dagster` makes them, with the wheel added by uv."""

import functools
import sys
from pathlib import Path

from ml_assets_tests.kits.host import OWN
from ml_assets_tests.kits.wheel import ROOT, Installed, uv

# uv resolves for every Python that a project declares: `create-dagster` writes 3.10.
REQUIREMENT = "ml-assets[serve] @ {wheel} ; python_version >= '3.11'"
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"


@functools.cache
def resolved(resolution: str, python: str, *extras: str) -> dict[str, str]:
    """Versions of the requirements, by uv's name of a resolution: lowest-direct."""
    found = uv(
        *("pip", "compile", "--quiet", "--no-annotate", "--no-header"),
        *("--python-version", python, "--resolution", resolution),
        *(part for extra in extras for part in ("--extra", extra)),
        ROOT / "pyproject.toml",
    )
    return dict(line.split("==") for line in found.splitlines())


def create(kind: str, root: Path, dagster: str, *, within: Path) -> Path:
    """A new workspace or project in a directory, by the release of a Dagster."""
    uv(
        *("tool", "run", "--directory", within, "--python", sys.executable),
        *(f"create-dagster@{dagster}", kind, "--no-uv-sync", root),
    )
    return root


def create_host(root: Path, dagster: str, *, within: Path) -> Path:
    """A new project of a workspace, with an asset of its own."""
    create("project", root, dagster, within=within)
    (root / "src" / root.name / "defs/sales.py").write_text(OWN)
    return root


def constrain(project: Path, versions: dict[str, str]) -> None:
    """Have the project allow these versions only, and the Python that runs this."""
    declared = project / "pyproject.toml"
    lines = declared.read_text().splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith("requires-python"))
    lines[at] = f'requires-python = "=={PYTHON}.*"'
    allowed = [f"{name}=={version}" for name, version in versions.items()]
    lines += ["[tool.uv]", f"constraint-dependencies = {allowed}", ""]
    declared.write_text("\n".join(lines))


def add_wheel(project: Path, wheel: Path) -> Installed:
    """Add the wheel to a project; its environment."""
    requirement = REQUIREMENT.format(wheel=wheel)
    uv("add", "--directory", project, "--python", sys.executable, requirement)
    return Installed(project / ".venv")
