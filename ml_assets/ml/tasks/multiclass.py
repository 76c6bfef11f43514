"""Multiclass targets: one of several classes, and the probability of each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import pandas as pd

from ml_assets.ml.cleaning import FeatureError
from ml_assets.ml.frames import plain_texts
from ml_assets.ml.predictions import CONFIDENCE, Predictions
from ml_assets.ml.tasks.labels import (
    changes,
    differences,
    joined,
    listing,
    positions,
    spelling,
    values_of,
)
from ml_assets.ml.tasks.task import Evaluation, Floats, Outcomes
from ml_assets.records import plan
from ml_assets.records.plan import LISTED, Label

if TYPE_CHECKING:
    from ml_assets.ml.performance import Figure
    from ml_assets.ml.sequential.degradation import Degradation
    from ml_assets.ml.sequential.losses import Scale


@dataclass(frozen=True)
class Multiclass:
    """The classes of a target in a fixed order, as answers spell them."""

    classes: tuple[Label, ...]

    name: ClassVar[plan.Task] = "multiclass"
    scorer: ClassVar[str] = "roc_auc_ovr"
    importance: ClassVar[str] = "Rise of log loss when the column is shuffled"
    needs_rows: ClassVar[bool] = False
    column: ClassVar[str] = "probabilities"

    def __str__(self) -> str:
        return joined(self.classes)

    @property
    def labels(self) -> tuple[Label, ...]:
        """The classes in the order of their numbers."""
        return self.classes

    def with_rows(self, rows: pd.DataFrame) -> "Multiclass":
        """The same: every row has the same losses."""
        return self

    def encode(self, column: "pd.Series[Any]") -> Outcomes:
        """The target as numbers of classes, from 0; classes may be absent."""
        return positions(column, self.classes)

    def answers(self, pipeline: Any, x: pd.DataFrame) -> Floats:
        """Probability of each class, of shape (n_rows, n_classes)."""
        found = np.asarray(pipeline.predict_proba(plain_texts(x)), dtype=np.float64)
        if found.shape[1] == len(self.classes):
            return found
        # A fold of a search, or a trial on few rows, may lack a rare class.
        whole = np.zeros((len(found), len(self.classes)))
        whole[:, np.asarray(pipeline.classes_, dtype=np.int64)] = found
        return whole

    def decide(self, answers: Floats) -> Outcomes:
        """The most probable class, the first of equally probable ones."""
        return np.asarray(answers.argmax(axis=1), dtype=np.int64)

    @property
    def scale(self) -> "Scale":
        """Right or wrong."""
        from ml_assets.ml.sequential.losses import Scale

        return Scale("error")

    def losses(self, y: Outcomes, answers: Floats) -> Floats:
        """1 where the decision is wrong."""
        return np.asarray(self.decide(answers) != y, dtype=np.float64)

    def with_loss_of(self, profile: Mapping[str, Any]) -> Self:
        """This very task: wrong is wrong."""
        return self

    def truths(self, texts: "pd.Series[str]") -> Outcomes:
        """Numbers of classes; -1 for what is none, so that no answer to it is right."""
        from ml_assets.ml.tasks.live import class_numbers

        return class_numbers(texts, self.classes)

    def logged(self, values: "pd.Series[Any]") -> Floats:
        """The probabilities of all classes, a row each."""
        return np.array(values.tolist(), dtype=np.float64).reshape(
            len(values), len(self.classes)
        )

    def live(
        self, y: Outcomes, answers: Floats, confidence: float
    ) -> dict[str, "Figure"]:
        """Accuracy, balanced accuracy, macro F1 and log loss.

        A label that is no class counts in accuracy alone.
        """
        from ml_assets.ml.performance import Figure
        from ml_assets.ml.tasks import live
        from ml_assets.ml.tasks.multiclass_metrics import (
            confusion,
            log_losses,
            of_confusion,
        )

        decided, there = self.decide(answers), y >= 0
        found = {"accuracy": live.accuracy(decided == y, confidence)}
        if there.any():
            y, answers, decided = y[there], answers[there], decided[there]
            of_classes = of_confusion(confusion(y, decided, len(self.classes)))
            for name in ("balanced_accuracy", "f1_macro"):
                found[name] = Figure(of_classes[name])
            found["log_loss"] = live.mean(log_losses(y, answers), confidence)
        return found

    def degradations(
        self, y: Outcomes, answers: Floats, offline: Mapping[str, float]
    ) -> "list[Degradation]":
        """Of accuracy."""
        from ml_assets.ml.tasks.live import accuracy_degradations

        return accuracy_degradations(self.decide(answers) == y, offline)

    def skill(self, y: Outcomes, answers: Floats) -> Floats:
        """Mean log probability of the true class in each block."""
        from ml_assets.ml.tasks.multiclass_metrics import log_losses

        blocks = answers.reshape(-1, len(y), len(self.classes))
        return np.array([-log_losses(y, block).mean() for block in blocks])

    def watched(self, answers: Floats) -> Predictions:
        """The classes that are decided on, and their probabilities."""
        names = [spelling(label) for label in self.classes]
        decided = [names[number] for number in self.decide(answers)]
        return Predictions(CONFIDENCE, answers.max(axis=1), decided)

    def bounds(self, y: Outcomes, answers: Floats) -> dict[str, Any]:
        """None: live accuracy is compared with that of the evaluation."""
        return {}

    def constants(self, training: Outcomes) -> Floats:
        """Each class for certain, and how frequent each is."""
        k = len(self.classes)
        rates = np.bincount(training, minlength=k) / len(training)
        return np.vstack([np.eye(k), rates])

    def evaluate(
        self,
        y: Outcomes,
        answers: Floats,
        slices: pd.DataFrame | None = None,
        training: Outcomes | None = None,
    ) -> Evaluation:
        """See `~ml_assets.ml.tasks.multiclass_metrics.evaluate`."""
        from ml_assets.ml.tasks.multiclass_metrics import evaluate

        return evaluate(y, answers, self.classes, slices)

    def plots(
        self, y: Outcomes, answers: Floats, evaluation: Any, importance: Sequence[Any]
    ) -> dict[str, bytes]:
        """See `~ml_assets.ml.plots.multiclass.plots`."""
        from ml_assets.ml.plots.multiclass import plots

        return plots(y, answers, evaluation, importance)


def multiclass_of(
    column: "pd.Series[Any]",
    classes: Sequence[Label] | None = None,
    pinned: Multiclass | None = None,
) -> Multiclass:
    """The classes of a target.

    Parameters
    ----------
    column : Series of shape (n_rows,)
        Distinct values, none missing.
    classes : sequence, optional
        The classes in their order. By default those of `pinned`, and of a model that
        was never trained the values, sorted.
    pinned : Multiclass, optional
        The classes of the model's first training.

    Raises
    ------
    FeatureError
        If a value is none of the classes, a class has no row, or there are too many
        values.

    Examples
    --------
    >>> first = multiclass_of(pd.Series(["b", "c", "a", "b"]))
    >>> str(first), first.encode(pd.Series(["b", "c"])).tolist()
    ("'a', 'b' and 'c'", [1, 2])
    """
    found = values_of(column)
    if classes is None and pinned is None:
        if len(found) > LISTED:
            raise FeatureError(
                f"the target '{column.name}' has {len(found):,} values, too many to be"
                f" classes ({LISTED} at most); numbers are predicted by a model of type"
                " ml_assets.components.TabularRegressor"
            )
        return Multiclass(tuple(found))
    known = pinned.classes if pinned is not None else ()
    if classes is not None and [*map(spelling, classes)] != [*map(spelling, known)]:
        known, since = tuple(classes), "`classes` names"
    else:
        since = "since its first training the model tells apart"
    new, gone = differences(found, known)
    if new or gone or len({*map(spelling, found)}) != len(known):
        raise FeatureError(
            f"the target '{column.name}' has {len(found):,} values:"
            f" {listing(found)}; {since} {joined(known)}"
            f"{changes(found, known)}; if the classes changed on purpose, name"
            " all of them with the key `classes` of the model's YAML"
        )
    return Multiclass(known)
