"""IO managers: tables from asset to asset, small values from step to step.

A step's value is ``steps/<model>/<run id>/<step>/<output>.json`` in the storage. It is
read by steps in other processes, on other machines, and by a later run that goes on
where this one failed.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from ml_assets.core.files import read_json, storage_root, write_json
from ml_assets.state.tables import DATA_VERSION, NoTableYetError, TableStore

if TYPE_CHECKING:
    import pandas as pd


class MissingStepError(FileNotFoundError):
    """The output of an earlier step is no longer there."""


class TableIOManager(dg.ConfigurableIOManager):
    """Writes and reads pandas tables through a `TableStore`."""

    def handle_output(self, context: dg.OutputContext, obj: Any) -> None:
        """Write the asset's table."""
        model, stage = context.asset_key.path
        path = TableStore(storage_root()).write(model, stage, context.run_id, obj)
        context.add_output_metadata(
            {
                "path": dg.MetadataValue.path(str(path)),
                "size_bytes": path.stat().st_size,
            }
        )

    def load_input(self, context: dg.InputContext) -> "pd.DataFrame | None":
        """Read the upstream asset's table; None where it was never materialized."""
        model, stage = context.asset_key.path
        store = TableStore(storage_root())
        try:
            runs = runs_of(context.step_context.dagster_run)
            pointer = store.pointer(model, stage, *runs)
        except NoTableYetError:
            return None
        frame = store.read(model, stage, pointer[DATA_VERSION])
        frame.attrs |= pointer
        return frame


class StepIOManager(dg.ConfigurableIOManager):
    """Writes and reads steps' values as JSON; an output's metadata names its model."""

    def handle_output(self, context: dg.OutputContext, obj: Any) -> None:
        """Write what a step returned."""
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
                f"the output of step {upstream.step_key} is not in the storage"
                f" ({path}); start a new run"
            )
        return found


def runs_of(run: dg.DagsterRun) -> list[str]:
    """The ids of a run, and of the failed ones that it goes on with."""
    found = (run.run_id, run.parent_run_id, run.root_run_id)
    return [run_id for run_id in dict.fromkeys(found) if run_id]


def _path(context: dg.OutputContext) -> Path:
    model = str(context.definition_metadata["model"])
    run_id, *rest = context.get_identifier()
    return storage_root().joinpath("steps", model, run_id, *rest).with_suffix(".json")
