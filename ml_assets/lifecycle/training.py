"""Training, packaging and registering one version of a model."""

import itertools
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ml_assets.core import provenance
from ml_assets.core.digests import digest_of
from ml_assets.core.storage import storage
from ml_assets.core.user_code import source_digests, trusted_packages
from ml_assets.records.version import VersionRecord, object_name
from ml_assets.spec.metrics import METRICS, metrics_of
from ml_assets.spec.model import ModelSpec
from ml_assets.spec.reserved import HELD_OUT
from ml_assets.spec.user_code import classes_of
from ml_assets.state.bundles import upload_bundle
from ml_assets.state.registry import SERVING, Registry
from ml_assets.state.tables import DATA_VERSION, MADE_OF, Tables, table_name
from ml_assets.state.validations import Validations
from ml_assets.state.versions import SPEC, VALIDATION, Versions

if TYPE_CHECKING:
    import pandas as pd

    from ml_assets.ml.training import Trained
    from ml_assets.records.plan import Signature

# What of the YAML changes a trained version; data has a hash of its own.
TRAINED_BY = (
    "name", "task", "target", "positive", "classes", "features", "estimator", "search",
    "split", "decision", "interval",
)  # fmt: skip
PROBE_ROWS = 32


class DecisionTaskError(ValueError):
    """A decision with a threshold, on a target of other than two classes."""


class GateMetricError(ValueError):
    """A gate whose metric the target's task does not have."""


def fingerprint(spec: ModelSpec, features_version: str) -> str:
    """What decides whether training again could give another version."""
    return provenance.fingerprint(
        features_version,
        spec_fingerprint(spec),
        provenance.code_hash(),
        provenance.environment(),
        *itertools.chain.from_iterable(user_code_of(spec).items()),
    )


def user_code_of(spec: ModelSpec) -> dict[str, str]:
    """Hash of each package of the project's own whose classes training imports."""
    return source_digests(classes_of(spec))


def spec_fingerprint(spec: ModelSpec) -> str:
    """Hash of the parts of the YAML that training reads."""
    # Where candidates are fitted changes no answer.
    return provenance.spec_hash(spec.on_this_machine(), *TRAINED_BY)


def train_version(
    spec: ModelSpec, features: "pd.DataFrame", made_by: str, run_id: str
) -> VersionRecord:
    """Train, package and register one version; its record is written last."""
    from ml_assets.lifecycle.request_signature import (
        left_out,
        request_signature,
        signature_notes,
    )
    from ml_assets.ml.gate_figures import without_nan
    from ml_assets.ml.tasks import find_task
    from ml_assets.ml.training import train
    from ml_assets.state.pinned import pin_task

    # Before fitting, so that of two first trainings both fit the same classes.
    target = features[spec.target]
    kind, classes = spec.task, spec.classes
    pinned = pin_task(spec, find_task(target, spec.positive, None, kind, classes))
    check_gate(spec, pinned.name)
    store, registry = Versions(), Registry()
    # A registry that takes no run is found out before hours of fitting.
    registry.experiment(spec.name)
    held_out = features[HELD_OUT].to_numpy()
    trained = train(features.drop(columns=HELD_OUT), spec, held_out, pinned)
    version = store.reserve(spec.name, run_id)
    tags = {
        "version": version,
        "raw_version": raw_version_of(spec, features, run_id),
        "features_version": str(features.attrs[DATA_VERSION]),
        "code_version": provenance.code_hash(),
        "git_commit": provenance.git_commit(),
        "environment": provenance.environment(),
        "dagster_run": run_id,
        "fingerprint": made_by,
    }
    others = left_out(spec, tags["raw_version"], trained.inputs)
    signature = request_signature(spec, trained, others)
    # A composed one has a parameter of that name itself.
    params = {
        "estimator__" + n if n == "estimator" else n: value
        for n, value in trained.params.items()
    }
    params["estimator"] = spec.estimator.type
    with tempfile.TemporaryDirectory() as scratch:
        bundle = Path(scratch) / "bundle"
        manifest = package(trained, bundle, signature)
        upload_bundle(object_name(spec.name, version, "bundle"), bundle)
        entry = registry.register(spec.name, bundle, tags, params)
    origins = _store_origins(spec, version, tags)
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
        notes=[*trained.notes, *signature_notes(signature)],
        user_code=user_code_of(spec),
        folds=without_nan(trained.folds),
    )
    store.save(record)
    return record


def check_gate(spec: ModelSpec, task: str) -> None:
    """Refuse a gate or a decision that asks for what the task does not have.

    Raises
    ------
    DecisionTaskError
        If the decision needs two classes.
    GateMetricError
        With the metrics that the task has.
    """
    if spec.decision is not None and task != "binary":
        raise DecisionTaskError(
            f"decision is of a target with two values, and '{spec.target}' is {task}"
        )
    for metric in spec.gate.demands:
        if metric in METRICS and task not in METRICS[metric].tasks:
            raise GateMetricError(
                f"gate asks for {metric}, which a {task} target does not have; it has"
                f" {', '.join(metrics_of(task))}"
            )


def raw_version_of(spec: ModelSpec, features: "pd.DataFrame", run_id: str) -> str:
    """The raw data that the features were made of, whatever came in since."""
    found = features.attrs.get(MADE_OF)
    # Features that older code made have no such attribute.
    return str(found or Tables().version(spec.name, "raw", run_id))


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


def _store_origins(
    spec: ModelSpec, version: str, tags: Mapping[str, str]
) -> dict[str, str]:
    """Store configuration and validation beside the version; SHA-256 of all origins."""
    model, raw = spec.name, tags["raw_version"]
    names = [
        object_name(model, version, SPEC),
        object_name(model, version, VALIDATION),
        table_name(model, "raw", raw),
        table_name(model, "features", tags["features_version"]),
    ]
    # Only what was written: some keys are refused where they do not belong.
    configuration = spec.model_dump(mode="json", exclude_unset=True)
    Versions().save_document(model, version, SPEC, configuration)
    # A later validation of the same data replaces the report.
    report = Validations().report(model, raw)
    if report is not None:
        Versions().save_document(model, version, VALIDATION, report)
    found = {name: digest_of(storage(), name) for name in names}
    return {name: digest for name, digest in found.items() if digest is not None}


def package(trained: "Trained", directory: Path, signature: "Signature") -> Any:
    """Write the bundle of a version: MLflow's files and the server's."""
    from ml_assets.core.boosters import distributions_of
    from ml_assets.core.model_files import without_boosters
    from ml_assets.core.trusted import TRUSTED_NAMES, check_skops, dump_skops
    from ml_assets.serving.models.bundle import write_bundle

    probe = trained.x_test.head(PROBE_ROWS)
    stored, models = without_boosters(trained.pipeline)
    # Only where there may be any is it written once more to see which there are.
    own = check_skops(dump_skops(stored)) if trusted_packages() else []
    needed = [*SERVING, *distributions_of(models)]
    Registry().save_model(stored, directory, [*TRUSTED_NAMES, *own], needed)
    return write_bundle(directory, trained.pipeline, signature, probe)
