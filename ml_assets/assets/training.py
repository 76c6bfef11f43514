"""``<model>/model``: a new version, trained, packaged and registered."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import Field

from ml_assets import provenance
from ml_assets.assets.common import TABLES, key, stage_arguments
from ml_assets.model import ModelSpec
from ml_assets.resources.registry import Registry
from ml_assets.resources.tables import DATA_VERSION, TableStore
from ml_assets.storage import storage_root
from ml_assets.versions import VersionRecord, VersionStore

if TYPE_CHECKING:
    import pandas as pd

    from ml_assets.ml.training import Trained

# What of the YAML changes a trained version; data is told by its own hash.
TRAINED_BY = ("name", "target", "positive", "features", "estimator", "search", "split")
PROBE_ROWS = 32


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
        code_version=provenance.spec_hash(spec, *TRAINED_BY)[:12],
        output_required=False,
    )
    def model(
        context: dg.AssetExecutionContext, config: TrainingConfig, features: Any
    ) -> Iterator[dg.MaterializeResult[Any] | dg.AssetObservation]:
        store = VersionStore(storage_root())
        made_by = fingerprint(spec, features.attrs[DATA_VERSION])
        known = None if config.force else _unchanged(store, spec.name, made_by)
        if known is not None and store.evaluation(spec.name, known.version) is not None:
            reason = (
                f"skipped: data, code and configuration are those of version"
                f" {known.version}; set force to train anyway"
            )
            context.log.info(reason)
            yield dg.AssetObservation(key(spec, "model"), metadata={"skipped": reason})
            return
        # A version that was trained but never evaluated is taken up, not made again.
        record = known or train_version(spec, features, made_by, context.run.run_id)
        yield dg.MaterializeResult(
            value=record.version,
            data_version=dg.DataVersion(record.version),
            metadata=describe(record),
        )

    return dg.Definitions(assets=[model])


def fingerprint(spec: ModelSpec, features_version: str) -> str:
    """What decides whether training again could give another version."""
    return provenance.fingerprint(
        features_version,
        provenance.spec_hash(spec, *TRAINED_BY),
        provenance.code_hash(),
        provenance.environment(),
    )


def _unchanged(store: VersionStore, model: str, made_by: str) -> VersionRecord | None:
    newest = store.names(model)[-1:]
    record = store.get(model, newest[0]) if newest else None
    return record if record is not None and record.fingerprint == made_by else None


def train_version(
    spec: ModelSpec, features: "pd.DataFrame", made_by: str, run_id: str
) -> VersionRecord:
    """Train, package and register one version; its record is written last."""
    from ml_assets.ml.training import train

    store = VersionStore(storage_root())
    trained = train(features, spec)
    version = store.reserve(spec.name, run_id)
    record = _register(spec, trained, features, version, made_by, run_id)
    store.save(record)
    return record
