"""The code location: every model under ``defs/``, and what they share."""

from pathlib import Path

import dagster as dg

from ml_assets.assets import runs
from ml_assets.assets.common import STEPS, TABLES
from ml_assets.assets.io_managers import StepIOManager, TableIOManager
from ml_assets.automation import delivery
from ml_assets.automation import notify as automation_notify
from ml_assets.spec import component_tree


@dg.definitions
def defs() -> dg.Definitions:
    """Every model's stages, jobs, schedules and sensors, releases, notifications."""
    return component_tree.load(Path(__file__).parent, _completed)


def _completed(models: dg.Definitions) -> dg.Definitions:
    shared = dg.Definitions(
        resources={TABLES: TableIOManager(), STEPS: StepIOManager()},
        # Five steps take 12 s in one process and 47 s in one process each.
        executor=dg.in_process_executor,
    )
    found = dg.Definitions.merge(
        models, shared, delivery.build(), automation_notify.build()
    )
    names = [job.name for job in found.jobs or ()]
    return dg.Definitions.merge(found, runs.build(names))
