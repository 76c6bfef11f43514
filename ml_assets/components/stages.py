"""The definitions of models: every stage of one, and what runs those of several."""

from collections.abc import Sequence

import dagster as dg

from ml_assets.assets import (
    contract,
    deployment,
    drift,
    evaluation,
    experiment,
    features,
    ingestion,
    monitoring,
    performance,
    predictions,
    replay,
    retention,
    rollback,
    training,
    validation,
)
from ml_assets.assets.common import STEPS, TABLES
from ml_assets.assets.io_managers import StepIOManager, TableIOManager
from ml_assets.automation import jobs, sensors
from ml_assets.spec.model import ModelSpec

STAGES = (
    ingestion,
    validation,
    features,
    training,
    evaluation,
    deployment,
    monitoring,
    predictions,
    drift,
    performance,
    experiment,
    replay,
    rollback,
    retention,
    contract,
    jobs,
)
# The same objects for each model, or their definitions could not be merged.
RESOURCES = {TABLES: TableIOManager(), STEPS: StepIOManager()}


def definitions_of(specs: Sequence[ModelSpec]) -> dg.Definitions:
    """A code location of nothing but these models, with what runs them."""
    return with_shared(dg.Definitions.merge(*map(definitions_of_one, specs)), specs)


def definitions_of_one(spec: ModelSpec) -> dg.Definitions:
    """What is a single model's, and the IO managers."""
    stages = (stage.build(spec) for stage in STAGES)
    return dg.Definitions.merge(*stages, dg.Definitions(resources=RESOURCES))


def with_shared(models: dg.Definitions, specs: Sequence[ModelSpec]) -> dg.Definitions:
    """The definitions of `specs`, and the executor and sensors of all."""
    # Five steps take 12 s in one process and 47 s in one process each.
    shared = dg.Definitions(executor=dg.in_process_executor)
    return dg.Definitions.merge(models, shared, sensors.build(specs, models.jobs or ()))
