"""What the first training fixes for all later ones: classes and row identity.

Each is a record that is created once, so that of two first trainings at a time both use
the same. Chosen anew each week, a column that is added, or an id that begins to repeat,
would move rows between training and test, among them rows that the champion was trained
on; and ``probability``, which callers read as that of one class, might become that of
the other.
"""

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ml_assets.core.files import create_bytes, read_json, storage_root, write_json
from ml_assets.ml.classes import Classes
from ml_assets.records.plan import Signature
from ml_assets.spec.model import ModelSpec
from ml_assets.state.bundles import served_signature

if TYPE_CHECKING:
    import pandas as pd

    from ml_assets.ml.row_identity import Identity


def classes_of(signature: Signature) -> Classes:
    """The classes of one version."""
    return Classes(signature.negative, signature.positive)


def pinned_classes(spec: ModelSpec) -> Classes | None:
    """The classes of `spec`'s model and target; None if it was never trained.

    Those of the version that serves come before those of the record.
    """
    serving = served_signature(spec.name)
    if serving is not None and serving.target == spec.target:
        return classes_of(serving)
    record = read_json(_path("classes", spec))
    if record is None or record["target"] != spec.target:
        return None
    return Classes(record["negative"], record["positive"])


def pin_classes(spec: ModelSpec, classes: Classes) -> Classes:
    """Record the classes of a first training; return those that count from now on."""
    known = pinned_classes(spec)
    if known is not None:
        return known
    path = _path("classes", spec)
    record = {"target": spec.target, **dataclasses.asdict(classes)}
    if not create_bytes(path, _text(record)) and (
        read_json(path)["target"] != spec.target
    ):
        # The model predicts something else now.
        write_json(path, record)
    return pinned_classes(spec) or classes


def pinned_identity(spec: ModelSpec, raw: "pd.DataFrame") -> "Identity":
    """The columns that identify a row of a raw table of the model.

    Those of the record, as long as the data has half of them.

    Raises
    ------
    IdentityError
        If a column of ``split.key`` is missing.
    """
    from ml_assets.ml.row_identity import Identity, identity_of

    known = read_json(_path("identities", spec))
    if not spec.split.key and _fits(spec, raw, known):
        columns = tuple(name for name in known["columns"] if name in raw.columns)
        return Identity(columns, bool(known["counts_twins"]))
    return identity_of(raw, spec.target, spec.features.drop, spec.split.key)


def pin_identity(spec: ModelSpec, raw: "pd.DataFrame") -> tuple["Identity", list[str]]:
    """Record the identity for later trainings; return it with notes for the log."""
    identity = pinned_identity(spec, raw)
    if spec.split.key:
        return identity, []
    path = _path("identities", spec)
    known = read_json(path)
    if _fits(spec, raw, known):
        gone = [name for name in known["columns"] if name not in raw.columns]
        return identity, [
            f"column '{name}' is gone, by which rows were told apart: those of the"
            " version in service stay where they were, and others may change sides"
            for name in gone
        ]
    record = {
        "target": spec.target,
        "columns": [*identity.columns],
        "counts_twins": identity.counts_twins,
    }
    if known is not None:
        # The model predicts something else now, or from another table.
        write_json(path, record)
    elif not create_bytes(path, _text(record)):
        # Of two first trainings at a time, both use the one that is recorded.
        return pinned_identity(spec, raw), []
    return identity, []


def _fits(spec: ModelSpec, raw: "pd.DataFrame", known: dict[str, Any] | None) -> bool:
    """Whether a recorded identity is of that target, and half of its columns exist."""
    if known is None or known["target"] != spec.target:
        return False
    present = [name for name in known["columns"] if name in raw.columns]
    return bool(present) and 2 * len(present) >= len(known["columns"])


def _text(record: dict[str, Any]) -> bytes:
    return json.dumps(record, indent=2).encode() + b"\n"


def _path(kind: str, spec: ModelSpec) -> Path:
    return storage_root() / kind / f"{spec.name}.json"
