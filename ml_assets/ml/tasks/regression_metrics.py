"""How far predicted numbers are from what happened."""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from ml_assets.ml.prediction_interval import covered
from ml_assets.ml.slices import groups_of
from ml_assets.ml.tasks.significance import lower_losses
from ml_assets.ml.tasks.task import Evaluation, Floats, Outcomes, check_lengths
from ml_assets.records.plan import Interval
from ml_assets.spec.metrics import is_better, lower_is_better

METRICS = ("r2", "mae", "rmse", "median_ae", "mape", "pinball", "mean_error")
# A target nearer to zero than this share of the largest one has no relative error.
NEAR_ZERO = 1e-6
# With more rows than this share without a relative error, there is no MAPE.
MOST_NEAR_ZERO = 0.1


@dataclass(frozen=True)
class SliceRow:
    """Figures of one group of the test rows, in units of the target."""

    column: str
    group: str
    n: int
    mae: float
    mean_error: float


@dataclass(frozen=True)
class RegressionEvaluation(Evaluation):
    """The figures of one version on one set of test rows.

    Attributes
    ----------
    metrics : dict of str to float
        ``r2``, ``mae``, ``rmse``, ``median_ae`` (median absolute error), ``mape`` (mean
        absolute error relative to the target; rows whose target is zero are left out,
        and with more than a tenth of them it is NaN), ``pinball`` (of `quantile`;
        Koenker and Bassett, 1978) and ``mean_error`` (predicted less true). With
        prediction intervals also ``coverage``, the share of rows inside of theirs, and
        ``interval_width``, in units of the target.
    majority : dict of str to float
        Of always answering the mean or the median of training, whichever is better.
    chance : dict of str to float
        One-sided p-values against the better of both: paired t-tests of the rows'
        losses, and for ``median_ae`` a sign test.
    quantile : float
        What the pinball loss is about.
    mean, median : float
        Of the training rows, or of these where those are not known.
    mae_interval : tuple of float
        95 % interval of the mean absolute error, by its standard error.
    without_relative_error : int
        Rows that the MAPE leaves out.
    level : float or None
        The coverage that is expected of the prediction intervals, if there are some.
    """

    quantile: float
    mean: float
    median: float
    mae_interval: tuple[float, float]
    without_relative_error: int
    level: float | None = None


def evaluate(
    y: Outcomes,
    answers: Floats,
    slices: pd.DataFrame | None = None,
    training: Outcomes | None = None,
    quantile: float = 0.5,
    interval: Interval | None = None,
) -> RegressionEvaluation:
    """Compare predicted with true numbers.

    Parameters
    ----------
    y, answers : ndarray of shape (n_rows,)
    slices : DataFrame of shape (n_rows, n_columns), optional
        Columns whose groups are reported apart.
    training : ndarray of shape (n_training_rows,), optional
        The target of the training rows, whose mean and median are to be beaten.
    quantile : float
        What the pinball loss is about.
    interval : Interval, optional
        About each answer.

    Raises
    ------
    ValueError
        If there are no rows, or the lengths differ.

    Examples
    --------
    >>> found = evaluate(np.array([1.0, 2.0, 3.0]), np.array([1.0, 2.5, 3.5]))
    >>> round(found.metrics["mae"], 4), found.majority["r2"]
    (0.3333, 0.0)
    """
    check_lengths(y, answers)
    learnt = y if training is None else training
    mean, median = float(learnt.mean()), float(np.median(learnt))
    constants = [np.full(len(y), value) for value in (mean, median)]
    found = metrics_of(y, answers, quantile)
    baselines = [metrics_of(y, constant, quantile) for constant in constants]
    errors = np.abs(answers - y)
    return RegressionEvaluation(
        n=len(y),
        metrics=found | _interval_metrics(interval, y, answers),
        majority={
            name: _better(name, *(item[name] for item in baselines))
            for name in METRICS
            if name != "mean_error"
        },
        chance=_chance(y, answers, constants, quantile),
        slices=() if slices is None else tuple(_slices(y, answers, slices)),
        quantile=quantile,
        mean=mean,
        median=median,
        mae_interval=_interval(errors),
        without_relative_error=int((~relative_rows(y)).sum()),
        level=None if interval is None else interval.level,
    )


def metrics_of(y: Outcomes, answers: Floats, quantile: float) -> dict[str, float]:
    """Every metric by its name; all NaN where an answer is."""
    if np.isnan(answers).any():
        return dict.fromkeys(METRICS, math.nan)
    error = answers - y
    spread = float(((y - y.mean()) ** 2).sum())
    values = (
        1 - float((error**2).sum()) / spread if spread else math.nan,
        float(np.abs(error).mean()),
        math.sqrt(float((error**2).mean())),
        float(np.median(np.abs(error))),
        _mape(y, error),
        float(pinball(error, quantile).mean()),
        float(error.mean()),
    )
    return dict(zip(METRICS, values, strict=True))


def _interval_metrics(
    interval: Interval | None, y: Outcomes, answers: Floats
) -> dict[str, float]:
    if interval is None:
        return {}
    is_defined = not np.isnan(answers).any()
    inside = covered(interval, y, answers)
    return {
        "coverage": float(inside.mean()) if is_defined else math.nan,
        "interval_width": 2 * interval.half_width,
    }


def pinball(error: Floats, quantile: float) -> Floats:
    """Pinball loss of each row, of predicted less true values.

    Examples
    --------
    >>> pinball(np.array([-10.0, 10.0]), 0.9).round(6).tolist()
    [9.0, 1.0]
    """
    return np.maximum(-quantile * error, (1 - quantile) * error)


def relative_rows(y: Outcomes) -> NDArray[np.bool_]:
    """The rows whose target is far enough from zero to have a relative error."""
    return np.asarray(np.abs(y) > NEAR_ZERO * np.abs(y).max())


def _mape(y: Outcomes, error: Floats) -> float:
    rows = relative_rows(y)
    if not rows.any() or (~rows).mean() > MOST_NEAR_ZERO:
        return math.nan
    return float((np.abs(error[rows]) / np.abs(y[rows])).mean())


def _better(name: str, one: float, other: float) -> float:
    is_other = math.isnan(one) or is_better(other, one, lower_is_better(name))
    return other if is_other else one


def _chance(
    y: Outcomes, answers: Floats, constants: list[Floats], quantile: float
) -> dict[str, float]:
    if np.isnan(answers).any():
        return {}
    found = _losses(y, answers, quantile)
    p_values: dict[str, float] = {}
    for constant in constants:
        for name, losses in _losses(y, constant, quantile).items():
            test = _sign_test if name == "median_ae" else lower_losses
            p = test(found[name], losses)
            p_values[name] = max(p, p_values.get(name, 0.0))
    return p_values


def _losses(y: Outcomes, answers: Floats, quantile: float) -> dict[str, Floats]:
    """The losses of the rows, whose mean or median each metric is made of."""
    error = answers - y
    rows = relative_rows(y)
    size = np.abs(error)
    return {
        "r2": size**2,
        "mae": size,
        "rmse": size**2,
        "median_ae": size,
        "mape": size[rows] / np.abs(y[rows]),
        "pinball": pinball(error, quantile),
    }


def _sign_test(one: Floats, other: Floats) -> float:
    better, worse = int((one < other).sum()), int((one > other).sum())
    if not better:
        return 1.0
    test = stats.binomtest(better, better + worse, alternative="greater")
    return float(test.pvalue)


def _interval(errors: Floats) -> tuple[float, float]:
    if len(errors) < 2:
        return math.nan, math.nan
    mean, margin = float(errors.mean()), 1.96 * float(stats.sem(errors))
    return max(mean - margin, 0.0), mean + margin


def _slices(y: Outcomes, answers: Floats, columns: pd.DataFrame) -> list[SliceRow]:
    rows = []
    for column in columns.columns:
        for group, inside in groups_of(columns[column]):
            error = answers[inside] - y[inside]
            mae, mean = float(np.abs(error).mean()), float(error.mean())
            rows.append(SliceRow(str(column), group, len(error), mae, mean))
    return rows
