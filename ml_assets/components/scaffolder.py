"""What ``dg scaffold defs`` writes for a new model: a YAML that runs."""

import re
from pathlib import Path
from string import Template
from typing import Any

import dagster as dg

from ml_assets.spec.model import NAME

TEMPLATE = Path(__file__).with_name("defs.template.yaml")


class TabularClassifierScaffolder(dg.Scaffolder[Any]):
    """Writes a commented ``defs.yaml`` whose model trains as it stands."""

    def scaffold(self, request: dg.ScaffoldRequest[Any]) -> None:
        """Write the file into the requested directory."""
        name = request.target_path.name
        if not re.fullmatch(NAME, name):
            raise ValueError(
                f"'{name}' cannot name a model: use lower-case letters, digits and _,"
                " beginning with a letter"
            )
        template = Template(TEMPLATE.read_text(encoding="utf-8"))
        content = template.substitute(type=request.type_name, name=name)
        (request.target_path / "defs.yaml").write_text(content, encoding="utf-8")
