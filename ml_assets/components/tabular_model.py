"""What the components of models have in common: one YAML, all stages of a model."""

from collections.abc import Sequence
from typing import Any, Self

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
from ml_assets.components.attributes import resolved
from ml_assets.spec.component_tree import CompletedTree
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


class TabularModel(ModelSpec, dg.Component, dg.Resolvable):
    """A model over a table: data in, a gated and served version out."""

    @classmethod
    def resolve_from_model(cls, context: dg.ResolutionContext, model: Any) -> Self:
        """The component, with every ``{{ template }}`` in the YAML resolved."""
        return cls.model_validate(resolved(model.root, context.resolve_value))

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """The definitions of every stage, merged, with the IO managers.

        Where Dagster loads the project by itself, with sensors for this model alone.
        """
        own = _definitions(self)
        if isinstance(context.component_tree, CompletedTree):
            return own
        found = sensors.build([self], own.jobs or (), f"{self.name}_")
        return dg.Definitions.merge(own, found)


def definitions_of(specs: Sequence[ModelSpec]) -> dg.Definitions:
    """A code location of nothing but these models, with what runs them."""
    return with_shared(dg.Definitions.merge(*map(_definitions, specs)), specs)


def _definitions(spec: ModelSpec) -> dg.Definitions:
    """What is a single model's, and the IO managers."""
    stages = (stage.build(spec) for stage in STAGES)
    return dg.Definitions.merge(*stages, dg.Definitions(resources=RESOURCES))


def with_shared(models: dg.Definitions, specs: Sequence[ModelSpec]) -> dg.Definitions:
    """The definitions of `specs`, and the executor and sensors of all."""
    # Five steps take 12 s in one process and 47 s in one process each.
    shared = dg.Definitions(executor=dg.in_process_executor)
    return dg.Definitions.merge(models, shared, sensors.build(specs, models.jobs or ()))
