"""What the components of models have in common: one YAML, all stages of a model."""

from typing import Any, Self

import dagster as dg

from ml_assets.components.attributes import resolved
from ml_assets.spec.model import ModelSpec


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
        # `dg` imports every component of every package: a project without models must
        # not wait for what builds them.
        from ml_assets.automation import sensors
        from ml_assets.components.stages import definitions_of_one
        from ml_assets.spec.component_tree import CompletedTree

        own = definitions_of_one(self)
        if isinstance(context.component_tree, CompletedTree):
            return own
        found = sensors.build([self], own.jobs or (), f"{self.name}_")
        return dg.Definitions.merge(own, found)
