"""``<model>/model``: a new version, trained, packaged and registered."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import Field

from ml_assets.assets.common import (
    MAY_SKIP,
    TABLES,
    key,
    notes_metadata,
    skipped,
    stage_arguments,
)
from ml_assets.assets.evaluation import is_judged_otherwise
from ml_assets.assets.validation import report_path
from ml_assets.core import provenance
from ml_assets.core.storage import (
    atomic_path,
    sha256_file,
    storage_root,
    write_bytes,
    write_json,
)
from ml_assets.spec.model import ModelSpec
from ml_assets.spec.reserved import HELD_OUT
from ml_assets.state.registry import Registry
from ml_assets.state.tables import DATA_VERSION, MADE_OF, TableStore
from ml_assets.state.versions import VersionRecord, VersionStore

if TYPE_CHECKING:
    import pandas as pd

    from ml_assets.ml.training import Trained
    from ml_assets.records.plan import Signature

# What of the YAML changes a trained version; data is told by its own hash.
TRAINED_BY = ("name", "target", "positive", "features", "estimator", "search", "split")
PROBE_ROWS = 32
# Tag of a run that a drift report asked for.
DRIFT = "drift"
# Evaluations among which that of the newest version is looked for.
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
        code_version=_trained_by(spec)[:12],
        **MAY_SKIP,
    )
    def model(
        context: dg.AssetExecutionContext, config: TrainingConfig, features: Any
    ) -> Iterator[dg.MaterializeResult | dg.AssetObservation]:
        if features is None:
            yield skipped(spec, "model", f"{spec.name}/features was never materialized")
            return
        store = VersionStore(storage_root())
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
        # A version that was trained but never judged is taken up, not made again.
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


def fingerprint(spec: ModelSpec, features_version: str) -> str:
    """What decides whether training again could give another version."""
    return provenance.fingerprint(
        features_version,
        _trained_by(spec),
        provenance.code_hash(),
        provenance.environment(),
    )


def _trained_by(spec: ModelSpec) -> str:
    # Where candidates are fitted changes no answer.
    return provenance.spec_hash(spec.on_this_machine(), *TRAINED_BY)


def _unchanged(store: VersionStore, model: str, made_by: str) -> VersionRecord | None:
    newest = store.names(model)[-1:]
    record = store.get(model, newest[0]) if newest else None
    return record if record is not None and record.fingerprint == made_by else None


def _was_judged(
    context: dg.AssetExecutionContext,
    store: VersionStore,
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
    told = [event.metadata.get("version") for event in events if event is not None]
    return version in [str(item.value) for item in told if item is not None]


def train_version(
    spec: ModelSpec, features: "pd.DataFrame", made_by: str, run_id: str
) -> VersionRecord:
    """Train, package and register one version; its record is written last."""
    from ml_assets.lifecycle.request_signature import (
        interface_notes,
        left_out,
        request_signature,
    )
    from ml_assets.ml.classes import encode_target
    from ml_assets.ml.training import train
    from ml_assets.state.pinned import pin_classes

    # Before fitting, so that of two first trainings both fit the same classes.
    target = features[spec.target]
    pinned = pin_classes(spec, encode_target(target, spec.positive).classes)
    store, registry = VersionStore(storage_root()), Registry()
    # A registry that takes no run is found out before hours of fitting.
    registry.experiment(spec.name)
    held_out = features[HELD_OUT].to_numpy()
    trained = train(features.drop(columns=HELD_OUT), spec, held_out, pinned)
    version = store.reserve(spec.name, run_id)
    tags = {
        "version": version,
        "raw_version": made_of(spec, features, run_id),
        "features_version": str(features.attrs[DATA_VERSION]),
        "code_version": provenance.code_hash(),
        "git_commit": provenance.git_commit(),
        "environment": provenance.environment(),
        "dagster_run": run_id,
        "fingerprint": made_by,
    }
    others = left_out(spec, tags["raw_version"], trained.inputs)
    signature = request_signature(spec, trained, others)
    # Where it is looked for, so that nobody downloads what was packaged here.
    bundle = store.directory(spec.name, version) / "bundle"
    with atomic_path(bundle) as temporary:
        manifest = package(trained, temporary, signature)
    # A composed one has a parameter of that name itself.
    params = {
        "estimator__" + n if n == "estimator" else n: value
        for n, value in trained.params.items()
    }
    params["estimator"] = spec.estimator.type
    entry = registry.register(spec.name, bundle, tags, params)
    origins = _keep_origins(spec, version, tags)
    record = VersionRecord(
        model=spec.name,
        version=version,
        files=manifest.files,
        runtime=manifest.runtime,
        runtime_reason=manifest.reason,
        fingerprint=made_by,
        raw_version=tags["raw_version"],
        features_version=tags["features_version"],
        code_version=tags["code_version"],
        git_commit=tags["git_commit"],
        environment=tags["environment"],
        run_id=run_id,
        registry_uri=entry.uri,
        registry_run=entry.run_id,
        registry_version=entry.version,
        estimator=spec.estimator.type,
        params={name: repr(value) for name, value in trained.params.items()},
        train_rows=int((~held_out).sum()),
        test_rows=int(held_out.sum()),
        fit_seconds=round(trained.seconds, 3),
        origins=origins,
        search=_search(trained),
        notes=[*trained.notes, *interface_notes(signature)],
    )
    store.save(record)
    return record


def made_of(spec: ModelSpec, features: "pd.DataFrame", run_id: str) -> str:
    """The raw data that the features were made of, whatever came in since."""
    found = features.attrs.get(MADE_OF)
    # Features that an older release made do not say.
    return str(found or TableStore(storage_root()).version(spec.name, "raw", run_id))


def _search(trained: "Trained") -> dict[str, Any]:
    """What found the parameters; empty where none were searched for."""
    if trained.workers is None:
        return {}
    best = trained.candidates[0]
    return {
        "engine": trained.workers.engine,
        "workers": trained.workers.count,
        "candidates": len(trained.candidates),
        "best_score": best.mean,
        "best_params": {name: repr(value) for name, value in best.params.items()},
    }


def _keep_origins(
    spec: ModelSpec, version: str, tags: Mapping[str, str]
) -> dict[str, str]:
    """Keep configuration and validation beside the version; SHA-256 of all origins."""
    root = storage_root()
    directory = VersionStore(root).directory(spec.name, version)
    # Only what was said: some keys are refused where they do not belong.
    configuration = spec.model_dump(mode="json", exclude_unset=True)
    write_json(directory / "spec.json", configuration)
    tables = TableStore(root)
    paths = [
        directory / "spec.json",
        tables.path(spec.name, "raw", tags["raw_version"]),
        tables.path(spec.name, "features", tags["features_version"]),
    ]
    report = report_path(spec.name, tags["raw_version"])
    # A later validation of the same data replaces the report.
    if report.exists():
        write_bytes(directory / "validation.json", report.read_bytes())
        paths.append(directory / "validation.json")
    return {
        path.relative_to(root).as_posix(): sha256_file(path)
        for path in paths
        if path.exists()
    }


def package(trained: "Trained", directory: Path, signature: "Signature") -> Any:
    """Write the bundle of a version: MLflow's files and the server's."""
    from ml_assets.core.trusted import TRUSTED_NAMES
    from ml_assets.serving.models.bundle import write_bundle

    probe = trained.x_test.head(PROBE_ROWS)
    Registry().save_model(trained.pipeline, directory, TRUSTED_NAMES)
    return write_bundle(directory, trained.pipeline, signature, probe)


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
