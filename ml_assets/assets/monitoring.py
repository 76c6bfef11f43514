"""``<model>/monitoring``: the reference profile of the newest version."""

import dagster as dg

from ml_assets.assets.common import (
    MAY_SKIP,
    Events,
    key,
    object_metadata,
    skipped,
    stage_arguments,
)
from ml_assets.lifecycle.plan_transitions import newest_version
from ml_assets.records.version import object_name
from ml_assets.spec.model import ModelSpec
from ml_assets.state.plans import Plans
from ml_assets.state.versions import PROFILE, Versions


def build(spec: ModelSpec) -> dg.Definitions:
    """The asset that keeps the reference profile."""

    @dg.asset(
        **stage_arguments(spec, "monitoring", "python"),
        description=(
            f"Reference profile of {spec.name}: held-out rows and the answers that"
            " its newest version gives them; later data is compared with it."
        ),
        deps=[key(spec, "deployment")],
        **MAY_SKIP,
    )
    def monitoring() -> Events:
        from ml_assets.lifecycle.monitored_columns import (
            CONSTANTS,
            constants,
            with_constants,
        )
        from ml_assets.lifecycle.scoring import held_out_rows, load, score
        from ml_assets.ml.profile import profile

        plan = Plans().current(spec.name)
        if plan is None:
            yield skipped(spec, "monitoring", f"{spec.name} was never deployed")
            return
        store = Versions()
        record = store.get(spec.name, newest_version(plan))
        rows, y, task, _ = held_out_rows(spec, record)
        pipeline = load(record)
        inputs = rows[list(pipeline.feature_names_in_)]
        answers = score(task, pipeline, rows)
        same = constants(record)
        # Texts are not compared: each row has its own.
        texts = [name for name in spec.features.text if name in inputs.columns]
        watched = with_constants(inputs.drop(columns=texts), same)
        reference = profile(watched, task.watched(answers), spec.monitoring.bins)
        # The bound for live labels has to be known before the first of them.
        kept = reference.to_dict() | task.bounds(y, answers) | {CONSTANTS: same}
        store.save_document(spec.name, record.version, PROFILE, kept)
        yield dg.MaterializeResult(
            data_version=dg.DataVersion(record.version),
            metadata={
                "version": record.version,
                "rows": reference.rows,
                "columns": len(watched.columns),
                "path": object_metadata(
                    object_name(spec.name, record.version, PROFILE)
                ),
            },
        )

    return dg.Definitions(assets=[monitoring])
