"""A `dg` project of somebody else, with definitions of its own."""

from pathlib import Path

PYPROJECT = """
[project]
name = "{name}"
version = "1"
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"
[tool.dg]
directory_type = "project"
[tool.dg.project]
root_module = "{name}"
"""
DEFINITIONS = """
from pathlib import Path

import dagster as dg


@dg.definitions
def defs():
    return dg.load_from_defs_folder(path_within_project=Path(__file__).parent)
"""
# Names that the platform has itself: a sensor, and the former ones of its IO managers.
OWN = """
import dagster as dg


class Kept(dg.ConfigurableIOManager):
    def handle_output(self, context, obj):
        context.log.info(f"kept {obj}")

    def load_input(self, context):
        return "rows"


@dg.asset
def sales():
    return "rows"


@dg.sensor(target=sales)
def gate(context):
    return dg.SkipReason("nothing new")


@dg.definitions
def defs():
    return dg.Definitions(
        assets=[sales],
        sensors=[gate],
        resources={"io_manager": Kept(), "tables": Kept(), "steps": Kept()},
        executor=dg.multiprocess_executor.configured({"max_concurrent": 2}),
    )
"""
MODEL = """
type: ml_assets.components.TabularClassifier
attributes:
  name: {name}
  source: {{type: sklearn, dataset: breast_cancer}}
  target: target
"""


def make_host(root: Path, name: str, *models: str) -> Path:
    """Write a project whose package is `name`, with an asset of its own and models."""
    package = root / "src" / name
    (package / "defs").mkdir(parents=True)
    (root / "pyproject.toml").write_text(PYPROJECT.format(name=name))
    (package / "__init__.py").touch()
    (package / "definitions.py").write_text(DEFINITIONS)
    (package / "defs/__init__.py").touch()
    (package / "defs/sales.py").write_text(OWN)
    for model in models:
        (package / "defs" / model).mkdir()
        (package / "defs" / model / "defs.yaml").write_text(MODEL.format(name=model))
    return root
