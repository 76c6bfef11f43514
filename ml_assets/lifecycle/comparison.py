"""A version beside the champion, on rows that neither was trained on.

Those are rows that were held out from the version and are not among the champion's
training rows. Where the champion cannot score them, because a column that it reads is
gone from the data, they are rows that were held out from the champion and are not among
the version's training rows.
"""

from typing import TYPE_CHECKING, Any, NamedTuple

from ml_assets.lifecycle.rows import Rows, RowsError, is_among, rows_of
from ml_assets.lifecycle.scoring import (
    IncomparableError,
    as_read,
    load,
    score,
    task_of_version,
)
from ml_assets.records.version import VersionRecord
from ml_assets.spec.model import ModelSpec
from ml_assets.state.versions import Versions

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ml_assets.lifecycle.rows import Mask
    from ml_assets.ml.tasks import Task

# Fewer rows than this decide nothing, where others had to be left out.
MIN_ROWS = 30


class Comparison(NamedTuple):
    """The gate's figures of the champion, with the field names of `GateFigures`."""

    champion: str
    champion_metrics: dict[str, float] = {}
    own_metrics: dict[str, float] = {}
    compared_on: str = ""
    problem: str = ""
    repeats: bool = False


def compare(spec: ModelSpec, record: VersionRecord, champion: str) -> Comparison:
    """The figures of a version and of the champion on the same rows."""
    other = Versions().get(spec.name, champion)
    repeats = record.fingerprint == other.fingerprint
    problems = []
    try:
        own, its = rows_of(record), rows_of(other)
    except RowsError as error:
        return Comparison(champion, problem=str(error), repeats=repeats)
    for rows, trained in ((own, its), (its, own)):
        try:
            found = _on(spec, rows, trained, record, other)
            return found._replace(repeats=repeats or found.repeats)
        except IncomparableError as error:
            problems.append(str(error))
    return Comparison(champion, problem=problems[0], repeats=repeats)


def _on(
    spec: ModelSpec,
    rows: Rows,
    trained: Rows,
    version: VersionRecord,
    champion: VersionRecord,
) -> Comparison:
    """Both on those held-out rows of `rows` that `trained` was not trained on.

    Each decides by its own threshold, and the costs are those of today's YAML.
    """
    from ml_assets.ml.tasks import deciding_as
    from ml_assets.ml.user_metrics import user_metrics

    fresh = rows.test & ~_learnt(spec, rows, trained)
    count, held_out = int(fresh.sum()), int(rows.test.sum())
    if count < min(MIN_ROWS, held_out):
        raise IncomparableError(
            f"of {held_out:,} test rows, {count:,} are among those that neither was"
            " trained on; rows are identified by their cells, or by split.key and"
            " split.group"
        )
    task, y = _outcomes(spec, version, rows, fresh)
    own = _answers(task, version, rows, fresh)
    other, _ = _outcomes(spec, champion, rows, fresh)
    its = _in_classes_of(task, other, _answers(other, champion, rows, fresh))
    its_task = deciding_as(task, other)
    whose = "" if rows.record is version else "of the champion "
    part = f"{count:,}" if count == held_out else f"{count:,} of {held_out:,}"
    rest = "" if count == held_out else ", on which neither was trained"
    return Comparison(
        champion.version,
        {**its_task.evaluate(y, its).metrics, **user_metrics(spec.metrics, y, its)},
        {**task.evaluate(y, own).metrics, **user_metrics(spec.metrics, y, own)},
        f"the same {part} test rows {whose}".rstrip() + rest,
        repeats=task == its_task and bool((own == its).all()),
    )


def _learnt(spec: ModelSpec, rows: Rows, trained: Rows) -> "Mask":
    """Which of `rows` are among the training rows of `trained`."""
    from ml_assets.ml.row_identity import IdentityError

    try:
        return is_among(spec, rows.cells, trained, ~trained.test)
    except (IdentityError, RowsError) as error:
        raise IncomparableError(str(error)) from error


def _outcomes(
    spec: ModelSpec, record: VersionRecord, rows: Rows, chosen: "Mask"
) -> "tuple[Task, NDArray[Any]]":
    """What a version predicts, and the target of the chosen rows in its classes."""
    from ml_assets.ml.cleaning import FeatureError
    from ml_assets.state.bundles import signature_of_version

    signature = signature_of_version(record)
    if signature.target not in rows.table.columns:
        raise IncomparableError(
            f"it predicts '{signature.target}', which the rows do not have"
        )
    try:
        task = task_of_version(spec, record).with_rows(rows.table[chosen])
        return task, task.encode(rows.table[signature.target][chosen])
    except FeatureError as error:
        raise IncomparableError(str(error)) from error


def _in_classes_of(
    task: "Task", other: "Task", answers: "NDArray[np.float64]"
) -> "NDArray[np.float64]":
    """The answers of a version of `other` in the order of the classes of `task`."""
    from ml_assets.ml.tasks import OtherTaskError, in_classes_of

    try:
        return in_classes_of(task, other, answers)
    except OtherTaskError as error:
        raise IncomparableError(str(error)) from error


def _answers(
    task: "Task", record: VersionRecord, rows: Rows, chosen: "Mask"
) -> "NDArray[np.float64]":
    from ml_assets.state.bundles import signature_of_version

    columns = signature_of_version(record).inputs
    inputs = as_read(columns, rows.table[chosen], rows.cells[chosen])
    try:
        return score(task, load(record), inputs)
    except (TypeError, ValueError) as error:
        # The text of it may hold values of a row.
        raise IncomparableError(
            f"{record.version} cannot read these rows ({type(error).__name__})"
        ) from error
