"""How Dagster's own programs are told of this code location."""

from pathlib import Path

import ml_assets

FILE = Path(ml_assets.__file__).parents[1] / "workspace.yaml"


def workspace_arguments() -> list[str]:
    """The project's ``workspace.yaml``, or the module where it is not at hand."""
    if FILE.exists():
        return ["-w", str(FILE)]
    return ["-m", "ml_assets.definitions"]
