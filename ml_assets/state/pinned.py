"""The classes that a model tells apart, which are those of its first training.

Callers read ``probability`` as that of one class, so that no later table may decide
anew which class it is. What serves has the last word; before anything serves, a record
that the first training creates, once, so that of two at a time both take the same.
"""

import dataclasses
import json
from pathlib import Path

from ml_assets.core.storage import create_bytes, read_json, storage_root, write_json
from ml_assets.ml.classes import Classes
from ml_assets.prediction_log.reader import signature_of
from ml_assets.records.plan import Signature
from ml_assets.serving.models.plan_store import PlanStore
from ml_assets.spec.model import ModelSpec
from ml_assets.state.bundles import fetch_bundle
from ml_assets.state.versions import VersionRecord, VersionStore


def classes_of(signature: Signature) -> Classes:
    """The classes of one version."""
    return Classes(signature.negative, signature.positive)


def pinned_classes(spec: ModelSpec) -> Classes | None:
    """The classes of `spec`'s model and target; None if it was never trained."""
    serving = served_signature(spec.name)
    if serving is not None and serving.target == spec.target:
        return classes_of(serving)
    record = read_json(_path(spec.name))
    if record is None or record["target"] != spec.target:
        return None
    return Classes(record["negative"], record["positive"])


def pin_classes(spec: ModelSpec, classes: Classes) -> Classes:
    """Keep the classes of a first training; those that count, if another was first."""
    known = pinned_classes(spec)
    if known is not None:
        return known
    path = _path(spec.name)
    record = {"target": spec.target, **dataclasses.asdict(classes)}
    if not create_bytes(path, json.dumps(record, indent=2).encode() + b"\n"):
        if read_json(path)["target"] != spec.target:
            # The model predicts something else now.
            write_json(path, record)
    return pinned_classes(spec) or classes


def served_signature(model: str) -> Signature | None:
    """The request schema of the version that serves; None where none does."""
    root = storage_root()
    plan = PlanStore(root).current(model)
    if plan is None:
        return None
    if not (root / plan.live.bundle).exists():
        fetch_bundle(VersionStore(root).get(model, plan.live.version))
    return signature_of(root, plan.live.bundle)


def signature_of_version(record: VersionRecord) -> Signature:
    """The request schema of a version, deployed or not."""
    fetch_bundle(record)
    return signature_of(storage_root(), record.bundle)


def _path(model: str) -> Path:
    return storage_root() / "classes" / f"{model}.json"
