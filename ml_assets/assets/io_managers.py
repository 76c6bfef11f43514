"""Small values between the steps of one asset: JSON files in the storage.

``steps/<model>/<run id>/<step>/<output>.json`` is read by steps in other processes, on
other machines, and by a later run that takes up where this one failed.
"""

from pathlib import Path
from typing import Any

import dagster as dg

from ml_assets.core.storage import read_json, storage_root, write_json


class MissingStepError(FileNotFoundError):
    """What an earlier step said is no longer there."""


class StepIOManager(dg.ConfigurableIOManager):
    """Hands what JSON can say from step to step; outputs name their model."""

    def handle_output(self, context: dg.OutputContext, obj: Any) -> None:
        """Write what a step says."""
        write_json(_path(context), obj)

    def load_input(self, context: dg.InputContext) -> Any:
        """Read it."""
        upstream = context.upstream_output
        if upstream is None:
            raise TypeError("a step's input must come from another step")
        path = _path(upstream)
        found = read_json(path)
        if found is None:
            raise MissingStepError(
                f"what step {upstream.step_key} said is not in the storage ({path});"
                " start a new run"
            )
        return found


def _path(context: dg.OutputContext) -> Path:
    model = str(context.definition_metadata["model"])
    run_id, *rest = context.get_identifier()
    return storage_root().joinpath("steps", model, run_id, *rest).with_suffix(".json")
