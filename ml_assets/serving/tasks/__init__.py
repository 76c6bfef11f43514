"""What the answers of each task are: checked, labelled, encoded, logged, described."""

from collections.abc import Sequence

from ml_assets.records.plan import Signature, Task
from ml_assets.serving.tasks.binary import BinaryAnswers, RowwiseBinaryAnswers
from ml_assets.serving.tasks.interval import IntervalAnswers, RowwiseIntervalAnswers
from ml_assets.serving.tasks.multiclass import MulticlassAnswers
from ml_assets.serving.tasks.protocol import Answers, Output
from ml_assets.serving.tasks.regression import RegressionAnswers

__all__ = ["Answers", "Output", "answers_of", "answers_of_rows"]

_KINDS: dict[Task, type[BinaryAnswers | MulticlassAnswers | RegressionAnswers]] = {
    "binary": BinaryAnswers,
    "multiclass": MulticlassAnswers,
    "regression": RegressionAnswers,
}


def answers_of(signature: Signature) -> Answers:
    """The answers of a version with this signature."""
    if signature.interval is not None:
        return IntervalAnswers(signature, signature.interval)
    return _KINDS[signature.task](signature)


def answers_of_rows(rows: Sequence[Answers]) -> Answers:
    """The answers of the versions that answered each row, which may decide otherwise.

    Their task and its classes are the same. Rows have intervals where all of their
    versions have.
    """
    binary = [row for row in rows if isinstance(row, BinaryAnswers)]
    if len({row.threshold for row in binary}) > 1:
        return RowwiseBinaryAnswers(binary)
    intervals = [row for row in rows if isinstance(row, IntervalAnswers)]
    if len(intervals) < len(rows):
        # The first without one is that of its task.
        return next(row for row in rows if not isinstance(row, IntervalAnswers))
    if len({row.half_width for row in intervals}) > 1:
        return RowwiseIntervalAnswers(intervals)
    return rows[0]
