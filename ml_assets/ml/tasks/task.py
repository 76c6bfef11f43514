"""What every task can do, and the figures that every evaluation has."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ml_assets.ml.gate_figures import GateFigures, Group, without_nan
from ml_assets.ml.predictions import Predictions
from ml_assets.records import plan
from ml_assets.records.plan import Label

if TYPE_CHECKING:
    from ml_assets.ml.performance import Figure
    from ml_assets.ml.sequential.degradation import Degradation
    from ml_assets.ml.sequential.losses import Scale

Floats = NDArray[np.float64]
# The target as estimators take it: numbers of classes, or values.
Outcomes = NDArray[Any]


@dataclass(frozen=True)
class Evaluation:
    """The figures of one version on one set of test rows.

    Attributes
    ----------
    n : int
        Test rows.
    metrics : dict of str to float
        NaN where the rows do not define one.
    majority : dict of str to float
        What the best constant answer would give.
    chance : dict of str to float
        How probable it is that an answer which knows nothing of a row is as good.
    slices : tuple
        Figures of groups of the rows.
    """

    n: int
    metrics: dict[str, float]
    majority: dict[str, float]
    chance: dict[str, float]
    slices: tuple[Any, ...]

    def gate_figures(self, **champion: Any) -> GateFigures:
        """The figures for the gate; `champion` gives those of the champion, by name."""
        slices: dict[str, dict[str, Group]] = {}
        for row in self.slices:
            # The gate judges groups by their accuracy, which numbers do not have.
            if hasattr(row, "accuracy"):
                groups = slices.setdefault(row.column, {})
                groups[row.group] = Group(row.n, row.accuracy)
        return GateFigures(
            n=self.n,
            metrics=self.metrics,
            majority=self.majority,
            chance=self.chance,
            slices=slices,
            **champion,
        )

    def to_dict(self) -> dict[str, Any]:
        """As JSON knows it; NaN becomes null."""
        value: dict[str, Any] = without_nan(asdict(self))
        return value


class Task(Protocol):
    """What is predicted: how it is encoded, answered, scored, decided and compared."""

    name: ClassVar[plan.Task]
    # What a search maximizes by default: a scorer of scikit-learn.
    scorer: ClassVar[str]
    # What a shuffled column costs, as the axis of its plot says it.
    importance: ClassVar[str]
    # Column of the prediction log that `logged` makes answers of.
    column: ClassVar[str]

    @property
    def labels(self) -> tuple[Label, ...]:
        """The classes in the order of their numbers; none of numbers."""

    def with_rows(self, rows: pd.DataFrame) -> "Task":
        """The task with what the loss of each of these rows depends on beside it.

        Raises
        ------
        FeatureError
            If the rows do not have that.
        """

    def encode(self, column: "pd.Series[Any]") -> Outcomes:
        """The target of some rows, of shape (n_rows,); classes may be absent.

        Raises
        ------
        FeatureError
            If a value is none of the task.
        """

    def answers(self, pipeline: Any, x: pd.DataFrame) -> Floats:
        """The answers of a fitted pipeline, as a signature of the task has them."""

    def decide(self, answers: Floats) -> Outcomes:
        """The decision on each row, in the encoding of the target."""

    @property
    def needs_rows(self) -> bool:
        """Whether `losses` and `live` need what `with_rows` takes of the rows."""

    @property
    def scale(self) -> "Scale":
        """Name and bound of `losses`, which are scaled by the bound."""

    def losses(self, y: Outcomes, answers: Floats) -> Floats:
        """The loss of each row, from 0 to 1."""

    def with_loss_of(self, profile: Mapping[str, Any]) -> Self:
        """The task with the loss that a version's reference profile fixes.

        Arms of an experiment, and live and held-out rows, are compared by one loss.

        Raises
        ------
        LookupError
            If the loss has a bound, and the profile does not name it.
        """

    def truths(self, texts: "pd.Series[str]") -> Outcomes:
        """What turned out by the labels of the prediction log, of shape (n_rows,)."""

    def logged(self, values: "pd.Series[Any]") -> Floats:
        """Answers as the prediction log has them in `column`."""

    def live(
        self, y: Outcomes, answers: Floats, confidence: float
    ) -> dict[str, "Figure"]:
        """Live figures by the names that evaluation has for them, the main one first.

        Parameters
        ----------
        y, answers : ndarray of shape (n_rows, ...)
            Of at least one row.
        confidence : float
            Of the intervals.
        """

    def degradations(
        self, y: Outcomes, answers: Floats, offline: Mapping[str, float]
    ) -> "list[Degradation]":
        """Whether live figures are worse than those of evaluation and of the profile.

        Parameters
        ----------
        y, answers : ndarray of shape (n_rows, ...)
            In the order in which the labels arrived, from the first.
        offline : mapping of str to float
            Metrics of evaluation, what `bounds` found, and ``rows``, the test rows;
            NaN or absent where unknown.
        """

    def skill(self, y: Outcomes, answers: Floats) -> Floats:
        """How good blocks of answers to the same rows are; higher is better.

        Parameters
        ----------
        y : ndarray of shape (n_rows,)
        answers : ndarray of shape (n_blocks * n_rows, ...)

        Returns
        -------
        ndarray of shape (n_blocks,)
            NaN where the rows do not define it.
        """

    def watched(self, answers: Floats) -> Predictions:
        """What of the answers drift is watched of."""

    def bounds(self, y: Outcomes, answers: Floats) -> dict[str, Any]:
        """What of the loss is fixed by a reference profile, and figures of its rows.

        Live figures are compared with them, by name.
        """

    def constants(self, training: Outcomes) -> Floats:
        """Answers that know nothing of a row, the best of which is to be beaten.

        Parameters
        ----------
        training : ndarray of shape (n_training_rows,)

        Returns
        -------
        ndarray of shape (n_constants, ...)
            Each has the shape of the answer to one row.
        """

    def evaluate(
        self,
        y: Outcomes,
        answers: Floats,
        slices: pd.DataFrame | None = None,
        training: Outcomes | None = None,
    ) -> Evaluation:
        """Compare answers with the truth.

        Parameters
        ----------
        y : ndarray of shape (n_rows,)
        answers : ndarray of shape (n_rows, ...)
            One NaN makes every figure that needs the answers NaN.
        slices : DataFrame of shape (n_rows, n_columns), optional
            Columns whose groups are reported apart.
        training : ndarray of shape (n_training_rows,), optional
            The target of the training rows, of which constants are made.

        Raises
        ------
        ValueError
            If there are no rows, or the lengths differ.
        """

    def plots(
        self, y: Outcomes, answers: Floats, evaluation: Any, importance: Sequence[Any]
    ) -> dict[str, bytes]:
        """Every plot of an evaluation, as PNG images by name."""


def check_lengths(y: Outcomes, answers: Floats) -> None:
    """Refuse answers that are not those of the rows."""
    if not len(y) or y.shape[0] != answers.shape[0]:
        raise ValueError(
            f"evaluation needs as many answers as outcomes and at least one,"
            f" found {answers.shape} and {y.shape}"
        )
