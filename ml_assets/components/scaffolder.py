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
        content = self.content(request.type_name, name)
        (request.target_path / "defs.yaml").write_text(content, encoding="utf-8")

    @classmethod
    def content(cls, type_name: str, model: str) -> str:
        """The text of the file for a component type and the model's name."""
        template = Template((FOLDER / cls.template).read_text(encoding="utf-8"))
        return template.substitute(type=type_name, name=model)


class TabularClassifierScaffolder(_ModelScaffolder):
    """Writes a commented ``defs.yaml`` of a classifier that trains as it stands."""

    template = "defs.template.yaml"


class TabularRegressorScaffolder(_ModelScaffolder):
    """Writes a commented ``defs.yaml`` of a regressor that trains as it stands."""

    template = "defs.regressor.template.yaml"
