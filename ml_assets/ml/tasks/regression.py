"""Regression targets: a number, and the error of the number that was predicted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import pandas as pd

from ml_assets.ml.cleaning import FeatureError
from ml_assets.ml.frames import plain_texts
from ml_assets.ml.prediction_interval import covered
from ml_assets.ml.predictions import VALUE, Predictions
from ml_assets.ml.tasks.task import Evaluation, Floats, Outcomes
from ml_assets.records import plan

if TYPE_CHECKING:
    from ml_assets.ml.performance import Figure
    from ml_assets.ml.sequential.degradation import Degradation
    from ml_assets.ml.sequential.losses import Scale

MEDIAN = 0.5
# Share of the training rows that are no farther from their median than the bound.
WITHIN_BOUND = 0.99
# Key in a version's reference profile.
BOUND = "loss_bound"
# The parameters by which scikit-learn's estimators are asked for a quantile.
QUANTILES = ("quantile", "alpha")


@dataclass(frozen=True)
class Regression:
    """A number.

    Parameters
    ----------
    quantile : float
        The quantile that the estimator predicts, which the pinball loss is about.
    bound : float
        The absolute error, in units of the target, that is a loss of 1; larger errors
        count as it. See `loss_bound`.
    interval : Interval, optional
        About each value.
    """

    quantile: float = MEDIAN
    bound: float = 1.0
    interval: plan.Interval | None = None

    name: ClassVar[plan.Task] = "regression"
    scorer: ClassVar[str] = "neg_mean_absolute_error"
    importance: ClassVar[str] = "Rise of mean absolute error when shuffled"
    needs_rows: ClassVar[bool] = False
    column: ClassVar[str] = "value"

    @property
    def labels(self) -> tuple[()]:
        """None."""
        return ()

    def with_rows(self, rows: pd.DataFrame) -> "Regression":
        """The same: every row has the same losses."""
        return self

    def encode(self, column: "pd.Series[Any]") -> Outcomes:
        """The target as float64.

        Examples
        --------
        >>> Regression().encode(pd.Series([1, 2], name="price")).tolist()
        [1.0, 2.0]
        """
        is_flag = pd.api.types.is_bool_dtype(column.dtype)
        if is_flag or not pd.api.types.is_numeric_dtype(column.dtype):
            raise FeatureError(
                f"the target '{column.name}' of a regressor must hold numbers, found"
                f" {column.iloc[0]!r}; classes are predicted by a model of type"
                " ml_assets.components.TabularClassifier"
            )
        values = column.to_numpy(dtype=np.float64, na_value=np.nan)
        if not np.isfinite(values).all():
            at = int(np.argmin(np.isfinite(values)))
            raise FeatureError(
                f"the target '{column.name}' must hold finite numbers, found"
                f" {values[at]} in row {at}"
            )
        return np.asarray(values)

    def answers(self, pipeline: Any, x: pd.DataFrame) -> Floats:
        """The predicted values, of shape (n_rows,)."""
        found = np.asarray(pipeline.predict(plain_texts(x)), dtype=np.float64)
        return found.reshape(len(x))

    def decide(self, answers: Floats) -> Outcomes:
        """The answers: a number is its own decision."""
        return answers

    @property
    def scale(self) -> "Scale":
        """Absolute error, clipped at the bound."""
        from ml_assets.ml.sequential.losses import Scale

        return Scale("absolute error", self.bound, clipped=True)

    def losses(self, y: Outcomes, answers: Floats) -> Floats:
        """Absolute error, scaled and clipped by the bound."""
        return np.minimum(np.abs(answers - y) / self.bound, 1.0)

    def with_loss_of(self, profile: Mapping[str, Any]) -> Self:
        """The task with the bound of the profile."""
        if BOUND not in profile:
            raise LookupError(
                f"the reference profile has no {BOUND}, the absolute error above"
                " which all count alike; the job that deploys makes the profile"
            )
        return replace(self, bound=float(profile[BOUND]))

    def truths(self, texts: "pd.Series[str]") -> Outcomes:
        """The numbers."""
        return texts.to_numpy(dtype=object).astype(np.float64)

    def logged(self, values: "pd.Series[Any]") -> Floats:
        """The values."""
        return values.to_numpy(dtype=np.float64)

    def live(
        self, y: Outcomes, answers: Floats, confidence: float
    ) -> dict[str, "Figure"]:
        """MAE with an interval by its standard error, RMSE, and R2.

        With prediction intervals also their coverage, with Wilson's interval.
        """
        from ml_assets.ml.performance import Figure, known
        from ml_assets.ml.tasks.live import accuracy, mean
        from ml_assets.ml.tasks.regression_metrics import metrics_of

        found = metrics_of(y, answers, self.quantile)
        rest = {name: Figure(known(found[name])) for name in ("rmse", "r2")}
        if self.interval is not None:
            inside = covered(self.interval, y, answers)
            rest["coverage"] = accuracy(inside, confidence)
        return {"mae": mean(np.abs(answers - y), confidence), **rest}

    def degradations(
        self, y: Outcomes, answers: Floats, offline: Mapping[str, float]
    ) -> "list[Degradation]":
        """Of the mean of the clipped absolute error, and of the coverage."""
        from ml_assets.ml.tasks.live import coverage_degradations, loss_degradations

        found = loss_degradations(self.losses(y, answers), offline, self.scale)
        if self.interval is None:
            return found
        inside = covered(self.interval, y, answers)
        return [*found, *coverage_degradations(inside, self.interval)]

    def skill(self, y: Outcomes, answers: Floats) -> Floats:
        """Negative mean absolute error of each block."""
        return np.asarray(-np.abs(answers.reshape(-1, len(y)) - y).mean(axis=1))

    def watched(self, answers: Floats) -> Predictions:
        """The values."""
        return Predictions(VALUE, answers)

    def bounds(self, y: Outcomes, answers: Floats) -> dict[str, Any]:
        """The bound of the absolute error, and the mean of the scaled losses.

        With prediction intervals also the coverage that is expected of them.
        """
        from ml_assets.ml.tasks.live import offline_loss

        found = {BOUND: self.bound, **offline_loss(self.losses(y, answers))}
        if self.interval is not None:
            found["expected_coverage"] = self.interval.level
        return found

    def constants(self, training: Outcomes) -> Floats:
        """The mean and the median."""
        return np.array([training.mean(), np.median(training)])

    def evaluate(
        self,
        y: Outcomes,
        answers: Floats,
        slices: pd.DataFrame | None = None,
        training: Outcomes | None = None,
    ) -> Evaluation:
        """See `~ml_assets.ml.tasks.regression_metrics.evaluate`."""
        from ml_assets.ml.tasks.regression_metrics import evaluate

        return evaluate(y, answers, slices, training, self.quantile, self.interval)

    def plots(
        self, y: Outcomes, answers: Floats, evaluation: Any, importance: Sequence[Any]
    ) -> dict[str, bytes]:
        """See `~ml_assets.ml.plots.regression.plots`."""
        from ml_assets.ml.plots.regression import plots

        return plots(y, answers, evaluation, importance)


def quantile_of(params: Mapping[str, Any]) -> float:
    """The quantile that an estimator with these parameters predicts.

    Examples
    --------
    >>> quantile_of({"loss": "quantile", "quantile": 0.9}), quantile_of({"alpha": 3})
    (0.9, 0.5)
    """
    asks = params.get("loss") == "quantile" or "quantile" in params
    given = [params[name] for name in QUANTILES if name in params]
    # scikit-learn's own default, where only the loss is named, is 0.9 for one of two.
    return float(given[0]) if asks and given and given[0] is not None else MEDIAN


def loss_bound(y: Outcomes) -> float:
    """The absolute error beyond which all errors count alike.

    That is the distance from the median within which 99 % of the rows are, so that
    single rows with a huge target do not decide by themselves.

    Examples
    --------
    >>> loss_bound(np.array([0.0, 1.0, 2.0, 3.0, 4.0]))
    2.0
    """
    distances = np.abs(y - np.median(y))
    bound = float(np.quantile(distances, WITHIN_BOUND, method="inverted_cdf"))
    return bound or float(distances.max()) or 1.0
