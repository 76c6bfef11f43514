"""Binary targets: one of two classes, and the probability of the positive one.

The same class may be read as 1, 1.0, ``"1"`` or true, as the other cells of its column
have it; it is one class all the same, and answers keep the spelling of the first
training.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

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

if TYPE_CHECKING:
    from ml_assets.ml.performance import Figure
    from ml_assets.ml.sequential.degradation import Degradation
    from ml_assets.ml.sequential.losses import Scale

# Key in a version's reference profile.
COSTS = "costs"
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
    column: ClassVar[str] = "p"

    def __str__(self) -> str:
        return joined(self.labels)

    @property
    def labels(self) -> tuple[Label, Label]:
        """The negative class, then the positive one."""
        return self.negative, self.positive

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

    @property
    def scale(self) -> "Scale":
        """Right or wrong, or the cost, whose amount is clipped."""
        from ml_assets.ml.sequential.losses import Scale

        if self.costs is None:
            return Scale("error")
        return Scale("cost", self.costs.largest, self.needs_rows)

    @property
    def needs_rows(self) -> bool:
        """Whether a missed positive costs an amount of its row."""
        return self.costs is not None and self.costs.amount is not None

    def losses(self, y: Outcomes, answers: Floats) -> Floats:
        """1 where the decision is wrong, or its part of the largest possible cost."""
        if self.costs is not None:
            return self.costs.of(y, self.decide(answers)) / self.costs.largest
        return np.asarray(self.decide(answers) != y, dtype=np.float64)

    def with_loss_of(self, profile: Mapping[str, Any]) -> Self:
        """The task with the costs of the profile, if it has some."""
        found = profile.get(COSTS)
        return replace(self, costs=Costs(**found) if found else None)

    def truths(self, texts: "pd.Series[str]") -> Outcomes:
        """0 and 1; -1 for what is neither class, so that no answer to it is right."""
        from ml_assets.ml.tasks.live import class_numbers

        return class_numbers(texts, self.labels)

    def logged(self, values: "pd.Series[Any]") -> Floats:
        """The probabilities."""
        return values.to_numpy(dtype=np.float64)

    def live(
        self, y: Outcomes, answers: Floats, confidence: float
    ) -> dict[str, "Figure"]:
        """Accuracy with Wilson's interval, and ROC AUC with DeLong's.

        With costs the mean cost of a row comes first, by its standard error.
        """
        from ml_assets.ml.performance import Figure, auc_interval, known
        from ml_assets.ml.tasks.live import accuracy, mean

        area = auc_interval(answers, y == 1, confidence)
        costs = {}
        if self.costs is not None:
            paid = self.costs.of(y, self.decide(answers))
            costs["expected_cost"] = mean(paid, confidence)
        return {
            **costs,
            "accuracy": accuracy(self.decide(answers) == y, confidence),
            "roc_auc": Figure(*map(known, area)),
        }

    def degradations(
        self, y: Outcomes, answers: Floats, offline: Mapping[str, float]
    ) -> "list[Degradation]":
        """Of accuracy or, with costs, of the mean cost; and of ROC AUC."""
        from ml_assets.ml.sequential.degradation import auc_degraded
        from ml_assets.ml.tasks import live

        if self.costs is None:
            found = live.accuracy_degradations(self.decide(answers) == y, offline)
        else:
            losses = self.losses(y, answers)
            found = live.loss_degradations(losses, offline, self.scale)
        low = offline.get("roc_auc_low", np.nan)
        if not np.isnan(low):
            found.append(auc_degraded(answers, y == 1, low, alpha=live.ALPHA))
        return found

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

    def bounds(self, y: Outcomes, answers: Floats) -> dict[str, Any]:
        """ROC AUC and its DeLong interval; the costs, and the mean of the losses."""
        from ml_assets.ml.performance import auc_interval
        from ml_assets.ml.tasks.live import offline_loss

        names = ("roc_auc", "roc_auc_low", "roc_auc_high")
        area = auc_interval(answers, y, AUC_CONFIDENCE)
        found: dict[str, Any] = dict(zip(names, area, strict=True))
        if self.costs is not None:
            found[COSTS] = asdict(replace(self.costs, amounts=None))
            found |= offline_loss(self.losses(y, answers))
        return found

    def constants(self, training: Outcomes) -> Floats:
        """Never and always positive, and how frequent it is."""
        return np.array([0.0, 1.0, training.mean()])

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
