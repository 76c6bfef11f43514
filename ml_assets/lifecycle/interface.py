"""What the requests of a new version hold: the raw row as the source has it.

Columns that the YAML drops are no part of it. Those that training left out, because
they were constant or name rows, may be sent and may be left out. Whatever the version
that serves takes is taken.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from ml_assets.core.storage import read_json, storage_root
from ml_assets.prediction_log.reader import inputs, signature_of
from ml_assets.records.plan import Kind, ServingPlan, Signature, ignored
from ml_assets.records.signature import incompatibilities, widened
from ml_assets.spec.model import ModelSpec
from ml_assets.spec.reserved import HELD_OUT
from ml_assets.state.classes import served_signature, signature_of_version
from ml_assets.state.tables import MissingTableError, TableStore
from ml_assets.state.versions import VersionRecord, VersionStore

if TYPE_CHECKING:
    import pandas as pd

    from ml_assets.ml.training import Trained

# In a version's profile: columns that are no inputs because they had one value.
CONSTANTS = "constants"


def request_signature(
    spec: ModelSpec, trained: "Trained", others: Mapping[str, Kind]
) -> Signature:
    """The signature of a version just trained.

    Parameters
    ----------
    others : dict of str to str
        Columns of the source that training left out, and their kinds.
    """
    from ml_assets.ml.schema import signature_columns

    unknown = spec.serving.unknown_category
    columns = signature_columns(trained.x, trained.inputs, unknown)
    signature = Signature(
        columns=(*columns, *(ignored(name, kind) for name, kind in others.items())),
        target=spec.target,
        negative=trained.negative,
        positive=trained.positive,
    )
    before = served_signature(spec.name)
    if before is None:
        return signature
    wide = widened(signature, before, spared(trained, signature))
    # Who closes a list by the YAML changes the interface, and is told so by the gate.
    return wide if unknown != "reject" else _closed(wide, signature)


def interface_notes(signature: Signature) -> list[str]:
    """What requests may hold beside the values that training saw, in sentences."""
    loose = [column.name for column in signature.inputs if column.open]
    lacking = [column.name for column in signature.inputs if column.optional]
    unread = [column.name for column in signature.columns if column.ignored]
    lines = {
        "training cannot have seen every value, so that others are taken as unknown":
            loose,
        "requests may leave out, because those of the version in service may": lacking,
        "taken in requests and not read": unread,
    }  # fmt: skip
    return [f"{text}: {', '.join(names)}" for text, names in lines.items() if names]


def left_out(spec: ModelSpec, raw_version: str, inputs: list[str]) -> dict[str, Kind]:
    """Columns of the raw table that the YAML does not drop and no input reads."""
    store = TableStore(storage_root())
    used = {*inputs, *spec.features.drop, spec.target, HELD_OUT}
    try:
        kinds = store.kinds(spec.name, "raw", raw_version)
    except MissingTableError:
        # Removed since the features were made of it; nothing else tells.
        return {}
    return {name: kind for name, kind in kinds.items() if name not in used}


def spared(trained: "Trained", signature: Signature) -> list[str]:
    """The inputs that the pipeline can do without: it answers rows that lack them."""
    from ml_assets.serving.runtime.protocol import Refused
    from ml_assets.serving.runtime.sklearn_runtime import SklearnRuntime, columns_of

    lenient = msgspec.structs.replace(
        signature,
        columns=tuple(
            msgspec.structs.replace(column, nullable=True)
            for column in signature.columns
        ),
    )
    runtime = SklearnRuntime(trained.pipeline, lenient)
    row = columns_of(lenient, trained.x_test.head(1))
    found = []
    for place, column in enumerate(signature.columns):
        lacking = [*row[:place], [None], *row[place + 1 :]]
        try:
            runtime.predict_many(lacking)
        except (Refused, TypeError):
            continue
        found.append(column.name)
    return found


def observed(
    root: Path, plan: ServingPlan, texts: Sequence[str]
) -> tuple["pd.DataFrame", list[str]]:
    """The columns of logged rows, and those of them that no caller has sent.

    What was always the same at training counts as sent so where a row leaves it out.
    """
    signature = signature_of(root, plan.live.bundle)
    path = VersionStore(root).profile_path(plan.model, plan.live.version)
    frame = with_constants(inputs(texts, signature), read_json(path).get(CONSTANTS, {}))
    optional = [column.name for column in signature.columns if column.optional]
    return frame, [name for name in optional if frame[name].isna().all()]


def refused_by(model: str, record: VersionRecord) -> tuple[str, ...]:
    """What of the requests to the version that serves a version would refuse."""
    before = served_signature(model)
    return (
        ()
        if before is None
        else incompatibilities(signature_of_version(record), before)
    )


def constants(record: VersionRecord) -> dict[str, Any]:
    """The value of each column that training left out because it was always the same.

    That it begins to vary is worth knowing, though no answer depends on it.
    """
    store = TableStore(storage_root())
    asked = [c.name for c in signature_of_version(record).columns if c.ignored]
    try:
        there = store.columns(record.model, "raw", record.raw_version)
        names = [name for name in asked if name in there]
        rows = store.read(record.model, "raw", record.raw_version, names)
    except MissingTableError:
        return {}
    same = [name for name in names if rows[name].nunique(dropna=False) == 1]
    return {name: rows[name].tolist()[0] for name in same if rows[name].notna().all()}


def with_constants(frame: "pd.DataFrame", values: Mapping[str, Any]) -> "pd.DataFrame":
    """`frame` with columns that always had one value; where they lack it, they have it.

    A request that leaves such a column out says nothing of it.
    """
    import pandas as pd

    from ml_assets.ml.frames import with_columns

    columns = {}
    for name, value in values.items():
        same = pd.Series([value] * len(frame), index=frame.index)
        known = frame[name] if name in frame.columns else same
        columns[name] = known.where(known.notna(), same)
    return with_columns(frame, columns)


def _closed(wide: Signature, strict: Signature) -> Signature:
    shut = {item.name for item in strict.columns if item.categories and not item.open}
    return msgspec.structs.replace(
        wide,
        columns=tuple(
            msgspec.structs.replace(item, open=False) if item.name in shut else item
            for item in wide.columns
        ),
    )
