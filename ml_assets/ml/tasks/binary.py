"""Binary targets: one of two classes, and the probability of the positive one.

The same class may be read as 1, 1.0, ``"1"`` or true, as the other cells of its column
have it; it is one class all the same, and answers keep the spelling of the first
training.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from ml_assets.ml.cleaning import FeatureError
from ml_assets.ml.frames import plain_texts
from ml_assets.ml.predictions import PROBABILITY, Predictions
from ml_assets.ml.tasks import labels as names
from ml_assets.ml.tasks.costs import Costs
from ml_assets.ml.tasks.labels import joined, spelling
from ml_assets.ml.tasks.task import Evaluation, Floats, Outcomes
from ml_assets.records import plan
from ml_assets.records.plan import HALF, Label

AUC_CONFIDENCE = 0.99


@dataclass(frozen=True)
class Binary:
    """The two classes of a target, and how a probability becomes a decision.

    Parameters
    ----------
    negative, positive : str, int, float or bool
        As answers spell them.
    threshold : float
        A row is decided to be positive above this probability.
    costs : Costs, optional
        What wrong decisions cost; without, each is an error like the others.
    """

    negative: Label
    positive: Label
    threshold: float = HALF
    costs: Costs | None = None

    name: ClassVar[plan.Task] = "binary"
    scorer: ClassVar[str] = "roc_auc"
    importance: ClassVar[str] = "Loss of ROC AUC when the column is shuffled"

    def __str__(self) -> str:
        return joined(self.labels)

    @property
    def labels(self) -> tuple[Label, Label]:
        """The negative class, then the positive one."""
        return self.negative, self.positive

    @property
    def loss_name(self) -> str:
        """``cost`` or, without costs, ``error``."""
        return "cost" if self.costs else "error"

    def with_rows(self, rows: pd.DataFrame) -> "Binary":
        """The same with the amounts of some rows, which their costs depend on."""
        if self.costs is None:
            return self
        return replace(self, costs=self.costs.with_rows(rows))

    def encode(self, column: "pd.Series[Any]") -> Outcomes:
        """The target as 0 and 1; one of the classes may be absent."""
        return names.positions(column, self.labels)

    def answers(self, pipeline: Any, x: pd.DataFrame) -> Floats:
        """Probability of the positive class, of shape (n_rows,)."""
        found = pipeline.predict_proba(plain_texts(x))[:, 1]
        return np.asarray(found, dtype=np.float64)

    def decide(self, answers: Floats) -> Outcomes:
        """1 where the probability is above the threshold."""
        return np.asarray(answers > self.threshold).astype(np.int64)

    def losses(self, y: Outcomes, answers: Floats) -> Floats:
        """1 where the decision is wrong, or its part of the largest possible cost."""
        if self.costs is not None:
            return self.costs.of(y, self.decide(answers)) / self.costs.largest
        return np.asarray(self.decide(answers) != y, dtype=np.float64)

    def skill(self, y: Outcomes, answers: Floats) -> Floats:
        """ROC AUC of each block, by the ranks of the positive rows."""
        positive = int(y.sum())
        pairs = positive * (len(y) - positive)
        if not pairs:
            return np.full(len(answers) // len(y), np.nan)
        least = positive * (positive + 1) / 2
        ranks = rankdata(answers.reshape(-1, len(y)), axis=1)[:, y == 1].sum(axis=1)
        return np.asarray((ranks - least) / pairs)

    def watched(self, answers: Floats) -> Predictions:
        """The probabilities."""
        return Predictions(PROBABILITY, answers, threshold=self.threshold)

    def bounds(self, y: Outcomes, answers: Floats) -> dict[str, float]:
        """ROC AUC and its interval, from DeLong's variance."""
        from ml_assets.ml.performance import auc_interval

        names = ("roc_auc", "roc_auc_low", "roc_auc_high")
        return dict(zip(names, auc_interval(answers, y, AUC_CONFIDENCE), strict=True))

    def evaluate(
        self,
        y: Outcomes,
        answers: Floats,
        slices: pd.DataFrame | None = None,
        training: Outcomes | None = None,
    ) -> Evaluation:
        """See `~ml_assets.ml.tasks.binary_metrics.evaluate`."""
        from ml_assets.ml.tasks.binary_metrics import evaluate

        return evaluate(y, answers, slices, self.threshold, self.costs)

    def plots(
        self, y: Outcomes, answers: Floats, evaluation: Any, importance: Sequence[Any]
    ) -> dict[str, bytes]:
        """See `~ml_assets.ml.plots.binary.plots`."""
        from ml_assets.ml.plots.binary import plots

        return plots(y, answers, evaluation, importance, self.labels, self.costs)


def binary_of(
    column: "pd.Series[Any]",
    positive: Label | None = None,
    pinned: Binary | None = None,
) -> Binary:
    """The two classes of a target.

    Parameters
    ----------
    column : Series of shape (n_rows,)
        Two distinct values and none missing.
    positive : str, int, float or bool, optional
        The value that counts as positive. By default that of `pinned`, and of a model
        that was never trained the rarer one; of two that are equally frequent, the one
        that sorts last.
    pinned : Binary, optional
        The classes of the model's first training.

    Raises
    ------
    FeatureError
        If there are other than two values, `positive` is none of them, or they are not
        those of `pinned` and `positive` is not given.

    Examples
    --------
    >>> first = binary_of(pd.Series(["no", "yes", "no"]))
    >>> again = binary_of(pd.Series(["no", "yes", "yes"]), pinned=first)
    >>> first.positive, again == first
    ('yes', True)
    """
    counts = column.value_counts()
    counts = counts[counts > 0]
    found = sorted(counts.index.tolist())
    if len(found) != 2:
        raise FeatureError(
            f"the target '{column.name}' must have two values, found {len(found)}:"
            f" {names.listing(found)}{_against(found, pinned)}"
        )
    if pinned is not None and (
        positive is None or spelling(positive) == spelling(pinned.positive)
    ):
        if {*map(spelling, found)} == {*map(spelling, pinned.labels)}:
            return pinned
        if positive is None:
            raise FeatureError(
                f"the target '{column.name}' has the values {names.listing(found)}"
                f"{_against(found, pinned)}; if they were renamed on purpose, say"
                " which one counts as 1 with the key `positive` of the model's YAML"
            )
    if positive is None:
        chosen = 0 if counts[found[0]] < counts[found[1]] else 1
    else:
        chosen = _position_of(positive, found, column.name)
    return Binary(found[1 - chosen], found[chosen])


def _position_of(positive: Label, found: list[Any], name: Any) -> int:
    if positive in found:
        return found.index(positive)
    # YAML reads 1 and true as numbers; the column may hold them as texts.
    alike = [
        n for n, value in enumerate(found) if spelling(value) == spelling(positive)
    ]
    if not alike:
        raise FeatureError(
            f"the target '{name}' has no value {positive!r}; it has {joined(found)}"
        )
    return alike[0]


def _against(found: list[Any], pinned: Binary | None) -> str:
    """What is new and what is gone, against the classes that the model has."""
    if pinned is None:
        return ""
    return (
        f"; since its first training the model tells {pinned} apart"
        f"{names.changes(found, pinned.labels)}"
    )
