"""What the answers of each task are: checked, labelled, encoded, logged, described."""

from ml_assets.records.plan import Signature, Task
from ml_assets.serving.tasks.binary import BinaryAnswers
from ml_assets.serving.tasks.multiclass import MulticlassAnswers
from ml_assets.serving.tasks.protocol import Answers, Output
from ml_assets.serving.tasks.regression import RegressionAnswers

__all__ = ["Answers", "Output", "answers_of"]

_KINDS: dict[Task, type[BinaryAnswers | MulticlassAnswers | RegressionAnswers]] = {
    "binary": BinaryAnswers,
    "multiclass": MulticlassAnswers,
    "regression": RegressionAnswers,
}


def answers_of(signature: Signature) -> Answers:
    """The answers of a version with this signature."""
    return _KINDS[signature.task](signature)
