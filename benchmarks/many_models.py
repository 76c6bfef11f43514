"""A project of many models, each over the synthetic source, for tests and benchmarks.

    python -m benchmarks.many_models DIRECTORY 1000

Writes a `dg` project whose code location is that of `ml_assets`, with other models.
"""

import sys
from pathlib import Path

PACKAGE = "many_models"
PROJECT = f"""\
[project]
name = "{PACKAGE}"
version = "0"
[tool.dg]
directory_type = "project"
[tool.dg.project]
root_module = "{PACKAGE}"
code_location_target_module = "{PACKAGE}.definitions"
"""
LOCATION = '''\
"""The code location of this project."""

from pathlib import Path

import dagster as dg

from ml_assets.definitions import of_project


@dg.definitions
def defs() -> dg.Definitions:
    """Every model below ``defs``."""
    return of_project(Path(__file__).parent)
'''
MODEL = """\
type: ml_assets.components.TabularClassifier
attributes:
  name: {name}
  source: {{type: synthetic, rows: {rows}, seed: {number}}}
  target: target
  estimator: {{type: sklearn.linear_model.LogisticRegression}}
  gate: {{threshold: 0.5}}
  schedule: "{minute} 2 * * 0"
"""


def name_of(number: int) -> str:
    """Name of the model with a number, from 0."""
    return f"model_{number:04d}"


def write_project(directory: Path, models: int, rows: int = 500) -> Path:
    """Write a project of so many models, each of so many rows; its root module."""
    package = directory / PACKAGE
    (package / "defs").mkdir(parents=True)
    (directory / "pyproject.toml").write_text(PROJECT)
    (package / "__init__.py").touch()
    (package / "defs" / "__init__.py").touch()
    (package / "definitions.py").write_text(LOCATION)
    for number in range(models):
        name = name_of(number)
        folder = package / "defs" / name
        folder.mkdir()
        text = MODEL.format(name=name, rows=rows, number=number, minute=number % 60)
        (folder / "defs.yaml").write_text(text)
    return package


if __name__ == "__main__":
    write_project(Path(sys.argv[1]), int(sys.argv[2]))
