"""``<model>/model``: a new version, unless nothing changed since the newest one."""

from typing import Any

import dagster as dg
from pydantic import Field

from ml_assets.assets.common import (
    MAY_SKIP,
    TABLES,
    Events,
    key,
    notes_metadata,
    skipped,
    stage_arguments,
)
from ml_assets.lifecycle.gate_decision import is_judged_otherwise
from ml_assets.lifecycle.training import fingerprint, spec_fingerprint, train_version
from ml_assets.records.version import VersionRecord
from ml_assets.spec.model import ModelSpec
from ml_assets.state.tables import DATA_VERSION
from ml_assets.state.versions import Versions

# Tag of a run that a drift report asked for.
DRIFT = "drift"
# Evaluations among which that of the newest version is searched.
RECENT = 20


class TrainingConfig(dg.Config):
    """Options of a run."""

    force: bool = Field(
        False, description="train even if data, code and configuration are unchanged"
    )


def build(spec: ModelSpec) -> dg.Definitions:
    """The asset that trains and registers a version."""

    @dg.asset(
        **stage_arguments(spec, "model", "scikitlearn", "mlflow"),
        description=(
            f"A version of {spec.name}: {spec.estimator.type.rpartition('.')[2]} with"
            " its features in one scikit-learn Pipeline, registered in MLflow."
        ),
        ins={"features": dg.AssetIn(key(spec, "features"), input_manager_key=TABLES)},
        code_version=spec_fingerprint(spec)[:12],
        **MAY_SKIP,
    )
    def model(
        context: dg.AssetExecutionContext, config: TrainingConfig, features: Any
    ) -> Events:
        if features is None:
            yield skipped(spec, "model", f"{spec.name}/features was never materialized")
            return
        store = Versions()
        made_by = fingerprint(spec, features.attrs[DATA_VERSION])
        known = None if config.force else _unchanged(store, spec.name, made_by)
        if known is not None and _was_judged(context, store, spec, known.version):
            reason = (
                f"skipped: data, code and configuration are those of version"
                f" {known.version}; {_remedy(context)}"
            )
            context.log.info(reason)
            yield skipped(spec, "model", reason)
            return
        # A version that was trained but never judged is evaluated now, not made again.
        record = known or train_version(spec, features, made_by, context.run.run_id)
        for note in record.notes:
            context.log.warning(note)
        yield dg.MaterializeResult(
            data_version=dg.DataVersion(record.version),
            metadata=describe(record),
        )

    return dg.Definitions(assets=[model])


def _remedy(context: dg.AssetExecutionContext) -> str:
    """What the reader of a skipped training may want to do."""
    if context.run.tags.get(DRIFT) is None:
        return "set force to train anyway"
    return "the drift needs data that shows it: training again on the same is no remedy"


def _unchanged(store: Versions, model: str, made_by: str) -> VersionRecord | None:
    record = store.newest(model)
    return record if record is not None and record.fingerprint == made_by else None


def _was_judged(
    context: dg.AssetExecutionContext,
    store: Versions,
    spec: ModelSpec,
    version: str,
) -> bool:
    """Whether the version was evaluated, and the event is there that the sensor reads.

    A run that dies between the two would else leave a version that never deploys. One
    that the gate would be asked about otherwise now was not judged either.
    """
    evaluation = store.evaluation(spec.name, version)
    if evaluation is None or is_judged_otherwise(spec, evaluation):
        return False
    found = context.instance.fetch_materializations(
        key(spec, "evaluation"), limit=RECENT
    )
    events = [record.asset_materialization for record in found.records]
    versions = [event.metadata.get("version") for event in events if event is not None]
    return version in [str(item.value) for item in versions if item is not None]


def describe(record: VersionRecord) -> dict[str, Any]:
    """What the UI shows of a version."""
    estimator = record.estimator.rpartition(".")[2]
    return {
        "version": record.version,
        "estimator": estimator,
        "params": dg.MetadataValue.json(record.params),
        "train_rows": record.train_rows,
        "test_rows": record.test_rows,
        "fit_seconds": record.fit_seconds,
        **({"search": dg.MetadataValue.json(record.search)} if record.search else {}),
        **({"folds": dg.MetadataValue.json(record.folds)} if record.folds else {}),
        **({"notes": notes_metadata(record.notes)} if record.notes else {}),
        "runtime": record.runtime,
        "runtime_reason": record.runtime_reason or "every step compiles",
        "registry": f"{record.model} version {record.registry_version}",
        "registry_uri": record.registry_uri,
        "raw_version": record.raw_version,
        "features_version": record.features_version,
        "git_commit": record.git_commit,
        "environment": record.environment,
    }
