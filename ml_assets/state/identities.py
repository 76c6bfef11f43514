"""Which columns tell the rows of a model apart: those of its first feature table.

Chosen anew each week, a column that is added, or an id that begins to repeat, would put
other rows to the test, among them rows that the champion was trained on. So the choice
is kept, once, and holds as long as the data has half of its columns.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ml_assets.core.storage import create_bytes, read_json, storage_root, write_json
from ml_assets.spec.model import ModelSpec

if TYPE_CHECKING:
    import pandas as pd

    from ml_assets.ml.row_identity import Identity


def pinned_identity(spec: ModelSpec, raw: "pd.DataFrame") -> "Identity":
    """What tells the rows of a raw table of the model apart.

    Raises
    ------
    IdentityError
        If a column of ``split.key`` is missing.
    """
    from ml_assets.ml.row_identity import Identity, identity_of

    known = read_json(_path(spec))
    if not spec.split.key and _holds(spec, raw, known):
        columns = tuple(name for name in known["columns"] if name in raw.columns)
        return Identity(columns, bool(known["counts_twins"]))
    return identity_of(raw, spec.target, spec.features.drop, spec.split.key)


def pin_identity(spec: ModelSpec, raw: "pd.DataFrame") -> tuple["Identity", list[str]]:
    """The same, kept from now on, and what there is to say of it."""
    identity = pinned_identity(spec, raw)
    if spec.split.key:
        return identity, []
    path, known = _path(spec), read_json(_path(spec))
    if _holds(spec, raw, known):
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
    data = json.dumps(record, indent=2).encode() + b"\n"
    if known is not None:
        # The model predicts something else now, or from another table.
        write_json(path, record)
    elif not create_bytes(path, data):
        # Of two first trainings at a time, both take the one that is kept.
        return pinned_identity(spec, raw), []
    return identity, []


def _holds(spec: ModelSpec, raw: "pd.DataFrame", known: dict[str, Any] | None) -> bool:
    """Whether what was kept is of that target, and most of its columns are there."""
    if known is None or known["target"] != spec.target:
        return False
    present = [name for name in known["columns"] if name in raw.columns]
    return bool(present) and 2 * len(present) >= len(known["columns"])


def _path(spec: ModelSpec) -> Path:
    return storage_root() / "identities" / f"{spec.name}.json"
