"""Asset jobs whose making takes as long beside a thousand models as beside one.

Dagster selects the assets of each job among those of the whole code location.
"""

from collections import defaultdict
from functools import lru_cache
from typing import Any

import dagster as dg
from dagster._core.definitions.assets.graph.asset_graph import AssetGraph
from dagster._core.definitions.unresolved_asset_job_definition import (
    UnresolvedAssetJobDefinition,
)
from dagster_shared.record import as_dict

# Tag of a job, and of its runs, with the model that it is about.
MODEL = "model"


class ModelJob(UnresolvedAssetJobDefinition):
    """A job over assets of the one model that its tag names."""

    def resolve(self, asset_graph: Any, *given: Any, **named: Any) -> dg.JobDefinition:
        """The job, of assets that are selected among those of its model."""
        own = _graphs(asset_graph)[(self.tags or {})[MODEL]]
        return super().resolve(own, *given, **named)


def define_model_job(model: str, name: str, **given: Any) -> ModelJob:
    """``<model>_<name>``, in one process; the rest is as in `dagster.define_asset_job`.

    The code location's own executor is that of its other jobs.
    """
    tags = {MODEL: model, **given.pop("tags", {})}
    # Five steps take 12 s in one process and 47 s in one process each.
    executor = given.pop("executor_def", None) or dg.in_process_executor
    plain = dg.define_asset_job(
        f"{model}_{name}", tags=tags, executor_def=executor, **given
    )
    return ModelJob(**as_dict(plain))


@lru_cache(maxsize=1)
def _graphs(whole: Any) -> dict[str, Any]:
    """The part of an asset graph that is a model's, by the beginning of its keys."""
    found = defaultdict(list)
    for definition in whole.assets_defs:
        keys = [*definition.keys, *(item.asset_key for item in definition.check_keys)]
        for model in {key.path[0] for key in keys}:
            found[model].append(definition)
    return {model: AssetGraph.from_assets(own) for model, own in found.items()}
