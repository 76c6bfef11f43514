"""The signature of a new version: its requests are raw rows as the source has them.

Columns that the YAML drops are no part of it. Those that training left out, because
they were constant or name rows, may be sent and may be left out. What the version that
serves accepts is accepted further on.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from ml_assets.records.plan import Kind, Signature, ignored
from ml_assets.records.signature import incompatibilities, widened
from ml_assets.records.version import VersionRecord
from ml_assets.spec.model import ModelSpec
from ml_assets.spec.reserved import HELD_OUT
from ml_assets.state.bundles import served_signature, signature_of_version
from ml_assets.state.tables import MissingTableError, Tables

if TYPE_CHECKING:
    from ml_assets.ml.tasks import Task
    from ml_assets.ml.training import Trained
    from ml_assets.serving.runtime.sklearn_runtime import SklearnRuntime


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
    texts = spec.features.text
    columns = signature_columns(trained.x, trained.inputs, unknown, texts)
    signature = Signature(
        columns=(*columns, *(ignored(name, kind) for name, kind in others.items())),
        target=spec.target,
        **answers_of(trained.task),
    )
    before = served_signature(spec.name)
    if before is None:
        return signature
    wide = widened(signature, before, spared(trained, signature))
    # A YAML that closes a list changes the interface, which the gate then refuses.
    return wide if unknown != "reject" else _closed(wide, signature)


def answers_of(task: "Task") -> dict[str, Any]:
    """The fields of a signature that say what answers mean."""
    from ml_assets.ml.tasks import Binary, Regression

    if isinstance(task, Binary):
        return {
            "negative": task.negative,
            "positive": task.positive,
            "threshold": task.threshold,
        }
    if isinstance(task, Regression):
        return {"task": task.name, "interval": task.interval}
    return {"task": task.name, "classes": task.labels}


def signature_notes(signature: Signature) -> list[str]:
    """What requests may have beside the values that training saw, in sentences."""
    loose = [item.name for item in signature.inputs if item.open and item.categories]
    lacking = [column.name for column in signature.inputs if column.optional]
    unread = [column.name for column in signature.columns if column.ignored]
    lines = {
        "values that training did not see are taken as unknown, with a warning":
            loose,
        "requests may leave out, because those of the version in service may": lacking,
        "taken in requests and not read": unread,
    }  # fmt: skip
    return [f"{text}: {', '.join(names)}" for text, names in lines.items() if names]


def left_out(spec: ModelSpec, raw_version: str, inputs: list[str]) -> dict[str, Kind]:
    """Columns of the raw table that the YAML does not drop and no input reads."""
    store = Tables()
    used = {*inputs, *spec.features.drop, spec.target, HELD_OUT}
    try:
        kinds = store.kinds(spec.name, "raw", raw_version)
    except MissingTableError:
        # Removed since the features were made of it; they are known from nothing else.
        return {}
    return {name: kind for name, kind in kinds.items() if name not in used}


def spared(trained: "Trained", signature: Signature) -> list[str]:
    """The inputs that the pipeline can do without: it answers rows that lack them."""
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
    for position, column in enumerate(signature.columns):
        lacking = [*row[:position], [None], *row[position + 1 :]]
        if _is_answered(runtime, lacking):
            found.append(column.name)
    return found


def _is_answered(runtime: "SklearnRuntime", columns: list[list[Any]]) -> bool:
    try:
        runtime.predict_many(columns)
    except Exception:  # of the project's own code, whatever it raises
        return False
    return True


def refused_by(model: str, record: VersionRecord) -> tuple[str, ...]:
    """Why a version would refuse or change requests to the version that serves."""
    before = served_signature(model)
    return (
        ()
        if before is None
        else incompatibilities(signature_of_version(record), before)
    )


def _closed(wide: Signature, strict: Signature) -> Signature:
    shut = {item.name for item in strict.columns if item.categories and not item.open}
    return msgspec.structs.replace(
        wide,
        columns=tuple(
            msgspec.structs.replace(item, open=False) if item.name in shut else item
            for item in wide.columns
        ),
    )
