"""IO managers: tables from asset to asset, small values from step to step.

Both are read by steps in other processes, on other machines, and by a later run that
goes on where this one failed.
"""

from typing import TYPE_CHECKING, Any

import dagster as dg

from ml_assets.assets.common import object_metadata
from ml_assets.core.storage import storage
from ml_assets.state.steps import StepValues
from ml_assets.state.tables import DATA_VERSION, NoTableYetError, Tables

if TYPE_CHECKING:
    import pandas as pd


class TableIOManager(dg.ConfigurableIOManager):
    """Writes and reads pandas tables through `Tables`."""

    def handle_output(self, context: dg.OutputContext, obj: Any) -> None:
        """Write the asset's table."""
        model, stage = context.asset_key.path
        name = Tables().write(model, stage, context.run_id, obj)
        size = storage().size(name)
        context.add_output_metadata({"path": object_metadata(name), "size_bytes": size})

    def load_input(self, context: dg.InputContext) -> "pd.DataFrame | None":
        """Read the upstream asset's table; None where it was never materialized."""
        model, stage = context.asset_key.path
        store = Tables()
        try:
            runs = runs_of(context.step_context.dagster_run)
            pointer = store.pointer(model, stage, *runs)
        except NoTableYetError:
            return None
        frame = store.read(model, stage, pointer[DATA_VERSION])
        frame.attrs |= pointer
        return frame


class StepIOManager(dg.ConfigurableIOManager):
    """Writes and reads steps' values; an output's metadata names its model."""

    def handle_output(self, context: dg.OutputContext, obj: Any) -> None:
        """Write what a step returned."""
        StepValues().write(*_key(context), obj)

    def load_input(self, context: dg.InputContext) -> Any:
        """Read it."""
        upstream = context.upstream_output
        if upstream is None:
            raise TypeError("a step's input must come from another step")
        return StepValues().read(*_key(upstream))


def runs_of(run: dg.DagsterRun) -> list[str]:
    """The ids of a run, and of the failed ones that it goes on with."""
    found = (run.run_id, run.parent_run_id, run.root_run_id)
    return [run_id for run_id in dict.fromkeys(found) if run_id]


def _key(context: dg.OutputContext) -> tuple[str, str, str]:
    run_id, *rest = context.get_identifier()
    return str(context.definition_metadata["model"]), run_id, "/".join(rest)
