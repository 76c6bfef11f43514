"""What ``dg scaffold defs`` writes for a new model: a YAML that runs."""

import re
from pathlib import Path
from string import Template
from typing import Any

import dagster as dg

from ml_assets.spec.model import NAME

FOLDER = Path(__file__).parent


class _ModelScaffolder(dg.Scaffolder[Any]):
    """Writes a commented ``defs.yaml`` whose model trains as it stands."""

    template: str

    def scaffold(self, request: dg.ScaffoldRequest[Any]) -> None:
        """Write the file into the requested directory."""
        name = request.target_path.name
        if not re.fullmatch(NAME, name):
            raise ValueError(
                f"'{name}' cannot name a model: use lower-case letters, digits and _,"
                " beginning with a letter"
            )
        template = Template((FOLDER / self.template).read_text(encoding="utf-8"))
        content = template.substitute(type=request.type_name, name=name)
        (request.target_path / "defs.yaml").write_text(content, encoding="utf-8")


class TabularClassifierScaffolder(_ModelScaffolder):
    """Writes a commented ``defs.yaml`` of a classifier that trains as it stands."""

    template = "defs.template.yaml"


class TabularRegressorScaffolder(_ModelScaffolder):
    """Writes a commented ``defs.yaml`` of a regressor that trains as it stands."""

    template = "defs.regressor.template.yaml"
