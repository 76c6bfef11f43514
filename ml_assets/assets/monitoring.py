"""``<model>/monitoring``: what the data and predictions of the deployed version look like."""

from typing import Any

import dagster as dg

from ml_assets.assets.common import key, stage_arguments
from ml_assets.model import ModelSpec
from ml_assets.serving.store import PlanStore
from ml_assets.storage import storage_root, write_json
from ml_assets.versions import VersionStore


def build(spec: ModelSpec) -> dg.Definitions:
    """The asset that keeps the reference profile."""

    @dg.asset(
        **stage_arguments(spec, "monitoring", "python"),
        description=(
            f"Reference profile of {spec.name}: held-out rows and the probabilities that"
            " the deployed version gives them, with which later data is compared."
        ),
        deps=[key(spec, "deployment")],
    )
    def monitoring() -> dg.MaterializeResult:
        from ml_assets.assets.scoring import held_out_rows, load, score
        from ml_assets.ml.profile import profile

        plan = PlanStore(storage_root()).current(spec.name)
        if plan is None:
            raise dg.Failure(f"{spec.name} was never deployed; deploy a version first")
        store = VersionStore(storage_root())
        record = store.get(spec.name, plan.live.version)
        rows, _ = held_out_rows(spec, record.features_version)
        pipeline = load(record)
        inputs = rows[list(pipeline.feature_names_in_)]
        reference = profile(inputs, score(pipeline, rows), spec.monitoring.bins)
        path = store.profile_path(spec.name, record.version)
        write_json(path, reference.to_dict())
        return dg.MaterializeResult(
            data_version=dg.DataVersion(record.version),
            metadata={
                "version": record.version,
                "rows": reference.rows,
                "columns": len(inputs.columns),
                "path": dg.MetadataValue.path(str(path)),
            },
        )

    return dg.Definitions(assets=[monitoring])
