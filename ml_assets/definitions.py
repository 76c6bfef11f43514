"""The code location: every model under ``defs/``, and what they share."""

from pathlib import Path

import dagster as dg

from ml_assets import automation_notify
from ml_assets.assets import runs
from ml_assets.assets.common import STEPS, TABLES
from ml_assets.components import partial
from ml_assets.release import definitions as release
from ml_assets.resources.steps import StepIOManager
from ml_assets.resources.tables import TableIOManager


@dg.definitions
def defs() -> dg.Definitions:
    """Every model's stages, jobs, schedules and sensors, releases, notifications."""
    return partial.load(Path(__file__).parent, _completed)


def _completed(models: dg.Definitions) -> dg.Definitions:
    shared = dg.Definitions(
        resources={TABLES: TableIOManager(), STEPS: StepIOManager()},
        # Five steps take 12 s in one process and 47 s in one process each.
        executor=dg.in_process_executor,
    )
    found = dg.Definitions.merge(
        models, shared, release.build(), automation_notify.build()
    )
    names = [job.name for job in found.jobs or ()]
    return dg.Definitions.merge(found, runs.build(names))
