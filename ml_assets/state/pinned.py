"""What the first training fixes for all later ones: classes and row identity.

Each is a row that the first training on a target writes, so that of two at a time both
use the same. Chosen anew each week, a column that is added, or an id that begins to
repeat, would move rows between training and test, among them rows that the champion was
trained on; and ``probability``, which callers read as that of one class, might become
that of the other.
"""

from typing import TYPE_CHECKING, Any, TypeGuard

from sqlalchemy import Connection, select

from ml_assets.spec.model import ModelSpec
from ml_assets.state.bundles import served_signature
from ml_assets.state.engine import reading, writing
from ml_assets.state.rows import matching, replace
from ml_assets.state.schema import first_trainings

if TYPE_CHECKING:
    import pandas as pd

    from ml_assets.ml.row_identity import Identity
    from ml_assets.ml.tasks import Task


def pinned_task(spec: ModelSpec) -> "Task | None":
    """What `spec`'s model predicts, with its classes; None if it was never trained.

    The classes of the version that serves come before those of the record. A model that
    predicts a number now and predicted a class before, or the other way round, was
    never trained.
    """
    from ml_assets.ml.tasks import Binary, Multiclass, Regression, task_of

    if spec.task == "regression":
        return Regression()
    serving = served_signature(spec.name)
    if serving is not None and serving.target == spec.target and serving.labels:
        return task_of(serving)
    fixed = _read("classes", spec)
    if fixed is None:
        return None
    if "classes" in fixed:
        return Multiclass(tuple(fixed["classes"]))
    return Binary(**fixed)


def pin_task(spec: ModelSpec, task: "Task") -> "Task":
    """Record the classes of a first training; return those that count from now on."""
    known = pinned_task(spec)
    if known is not None:
        return known
    if task.name == "binary":
        negative, positive = task.labels
        fixed: dict[str, Any] = {"negative": negative, "positive": positive}
    else:
        fixed = {"classes": list(task.labels)}
    _fix("classes", spec, fixed)
    return pinned_task(spec) or task


def pinned_identity(spec: ModelSpec, raw: "pd.DataFrame") -> "Identity":
    """The columns that identify a row of a raw table of the model.

    Those of the record, as long as the data has half of them.

    Raises
    ------
    IdentityError
        If a column of ``split.key`` or ``split.group`` is missing.
    """
    from ml_assets.ml.row_identity import Identity, identity_of, together_of

    known = _read("identity", spec)
    if not _fits(known, raw):
        return identity_of(raw, spec.target, spec.features.drop, spec.split)
    columns = tuple(name for name in known["columns"] if name in raw.columns)
    together = together_of(raw, spec.split)
    return Identity(columns, bool(known["counts_twins"]), together)


def pin_identity(spec: ModelSpec, raw: "pd.DataFrame") -> tuple["Identity", list[str]]:
    """Record the identity for later trainings; return it with notes for the log."""
    identity = pinned_identity(spec, raw)
    known = _read("identity", spec)
    if _fits(known, raw):
        gone = [name for name in known["columns"] if name not in raw.columns]
        return identity, [
            f"column '{name}' is gone, by which rows were told apart: those of the"
            " version in service stay where they were, and others may change sides"
            for name in gone
            if not identity.together
        ]
    # What is known was made from another table.
    fixed = {"columns": identity.columns, "counts_twins": identity.counts_twins}
    _fix("identity", spec, fixed, instead_of=known)
    return pinned_identity(spec, raw), []


def _fits(
    known: dict[str, Any] | None, raw: "pd.DataFrame"
) -> TypeGuard[dict[str, Any]]:
    """Whether there is a recorded identity, and half of its columns exist."""
    if known is None:
        return False
    present = [name for name in known["columns"] if name in raw.columns]
    return bool(present) and 2 * len(present) >= len(known["columns"])


def _read(kind: str, spec: ModelSpec) -> dict[str, Any] | None:
    """What was fixed for the target of `spec`."""
    with reading() as connection:
        return _fixed(connection, kind, spec)


def _fix(
    kind: str, spec: ModelSpec, fixed: dict[str, Any], instead_of: Any = None
) -> None:
    """Write what a training fixes, unless another one was first."""
    with writing(spec.name) as connection:
        if _fixed(connection, kind, spec) in (None, instead_of):
            key = {"model": spec.name, "kind": kind, "target": spec.target}
            replace(connection, first_trainings, **key, fixed=fixed)


def _fixed(connection: Connection, kind: str, spec: ModelSpec) -> dict[str, Any] | None:
    # With another target, the model predicts something else now.
    key = {"model": spec.name, "kind": kind, "target": spec.target}
    wanted = select(first_trainings.c.fixed).where(matching(first_trainings, **key))
    found: dict[str, Any] | None = connection.scalar(wanted)
    return found
