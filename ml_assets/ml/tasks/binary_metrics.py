"""How well probabilities agree with what happened: the figures of a version."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_auc_score

from ml_assets.ml.intervals import wilson
from ml_assets.ml.slices import groups_of
from ml_assets.ml.tasks.calibration import CalibrationBin, bins_of, calibration_error
from ml_assets.ml.tasks.costs import Costs
from ml_assets.ml.tasks.significance import lower_losses, p_values
from ml_assets.ml.tasks.task import Evaluation
from ml_assets.records.plan import HALF
from ml_assets.spec.decision import EXPECTED_COST

Floats = NDArray[np.float64]
Outcomes = NDArray[np.int64]


@dataclass(frozen=True)
class Confusion:
    """Rows by truth and prediction."""

    true_negative: int
    false_positive: int
    false_negative: int
    true_positive: int


@dataclass(frozen=True)
class SliceRow:
    """Figures of one group of the test rows."""

    column: str
    group: str
    n: int
    accuracy: float
    roc_auc: float
    positive_rate: float


@dataclass(frozen=True)
class BinaryEvaluation(Evaluation):
    """The figures of one version on one set of test rows.

    Attributes
    ----------
    metrics : dict of str to float
        ``accuracy``, ``balanced_accuracy``, ``roc_auc``, ``average_precision``,
        ``log_loss``, ``brier``, ``f1``, ``precision``, ``recall`` and
        ``calibration_error`` (expected calibration error over ten bins). With costs,
        ``expected_cost``: the mean cost of a row.
    majority : dict of str to float
        Of always saying one class and always saying the other, whichever the metric
        likes more.
    chance : dict of str to float
        See `~ml_assets.ml.tasks.significance.p_values`.
    slices : tuple of SliceRow
    positives : int
        Rows of class 1.
    threshold : float
        A row is predicted 1 when its probability exceeds it.
    accuracy_interval : tuple of float
        Wilson's 95 % interval.
    confusion : Confusion, optional
        None where a probability is NaN.
    calibration : tuple of CalibrationBin
    """

    positives: int
    threshold: float
    accuracy_interval: tuple[float, float]
    confusion: Confusion | None
    calibration: tuple[CalibrationBin, ...]


def evaluate(
    y_true: Outcomes,
    probability: Floats,
    slices: pd.DataFrame | None = None,
    threshold: float = HALF,
    costs: Costs | None = None,
) -> BinaryEvaluation:
    """Compare probabilities with the truth.

    Parameters
    ----------
    y_true : ndarray of shape (n_rows,)
        0 or 1.
    probability : ndarray of shape (n_rows,)
        Of class 1. One NaN makes every figure that needs the probabilities NaN.
    slices : DataFrame of shape (n_rows, n_columns), optional
        Columns whose groups are reported apart.
    threshold : float
        A row is predicted 1 when its probability exceeds it, as scikit-learn does.
    costs : Costs, optional
        With the amounts of these rows, where it has some.

    Raises
    ------
    ValueError
        If there are no rows, or the lengths differ.

    Examples
    --------
    >>> figures = evaluate(np.array([0, 0, 1, 1]), np.array([0.1, 0.6, 0.4, 0.9]))
    >>> figures.metrics["accuracy"], figures.metrics["roc_auc"]
    (0.5, 0.75)
    >>> figures.majority["accuracy"]
    0.5
    """
    y, p = np.asarray(y_true, dtype=np.int64), np.asarray(probability, dtype=np.float64)
    if not len(y) or y.shape != p.shape:
        raise ValueError(
            f"evaluation needs as many probabilities as outcomes and at least one,"
            f" found {p.shape} and {y.shape}"
        )
    metrics = _metrics(y, p, threshold)
    paid = _expected_cost(y, p, threshold, costs)
    return BinaryEvaluation(
        n=len(y),
        positives=int(y.sum()),
        threshold=threshold,
        metrics=metrics | paid[0],
        majority=_best_constant(y, threshold) | paid[1],
        chance=p_values(y, p, threshold) | paid[2],
        accuracy_interval=wilson(metrics["accuracy"], len(y)),
        confusion=None if np.isnan(p).any() else _confusion(y, p, threshold),
        calibration=bins_of(y, p),
        slices=() if slices is None else _slices(y, p, slices, threshold),
    )


def _expected_cost(
    y: Outcomes, p: Floats, threshold: float, costs: Costs | None
) -> tuple[dict[str, float], ...]:
    """The metric, that of the best constant, and how likely chance is to be as good."""
    if costs is None:
        return {}, {}, {}
    own, constant = costs.of(y, p > threshold), costs.best_constant(y)
    mean, chance = float(own.mean()), lower_losses(own, constant)
    if np.isnan(p).any():
        mean, chance = math.nan, 1.0
    found = mean, float(constant.mean()), chance
    return tuple({EXPECTED_COST: value} for value in found)


def _confusion(y: Outcomes, p: Floats, threshold: float) -> Confusion:
    predicted = p > threshold
    counts = np.bincount(2 * y + predicted, minlength=4)
    return Confusion(*(int(count) for count in counts))


def _metrics(y: Outcomes, p: Floats, threshold: float) -> dict[str, float]:
    if np.isnan(p).any():
        return dict.fromkeys(METRICS, math.nan)
    c = _confusion(y, p, threshold)
    recall = _ratio(c.true_positive, c.true_positive + c.false_negative)
    specificity = _ratio(c.true_negative, c.true_negative + c.false_positive)
    wrong = c.false_positive + c.false_negative
    values = (
        _ratio(c.true_positive + c.true_negative, len(y)),
        (recall + specificity) / 2,
        _ranking(roc_auc_score, y, p),
        _ranking(average_precision_score, y, p),
        _log_loss(y, p),
        float(np.mean((p - y) ** 2)),
        _ratio(2 * c.true_positive, 2 * c.true_positive + wrong),
        _ratio(c.true_positive, c.true_positive + c.false_positive),
        recall,
        calibration_error(y, p),
    )
    return dict(zip(METRICS, values, strict=True))


METRICS = (
    "accuracy",
    "balanced_accuracy",
    "roc_auc",
    "average_precision",
    "log_loss",
    "brier",
    "f1",
    "precision",
    "recall",
    "calibration_error",
)
# No gate asks for these, and no constant of two is best for them.
LOWER_IS_BETTER = ("log_loss", "brier", "calibration_error")


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else math.nan


def _ranking(score: Any, y: Outcomes, p: Floats) -> float:
    """A score of the order of the rows, which one class alone does not define."""
    if y.min() == y.max() or np.isnan(p).any():
        return math.nan
    return float(score(y, p))


def _log_loss(y: Outcomes, p: Floats) -> float:
    # As scikit-learn: a certain but wrong row costs much, not infinitely much.
    tiny = np.finfo(np.float64).eps
    of_truth = np.clip(np.where(y == 1, p, 1 - p), tiny, 1 - tiny)
    return float(-np.log(of_truth).mean())


def _best_constant(y: Outcomes, threshold: float) -> dict[str, float]:
    """Figures of the best constant answer, by the very same arithmetic.

    Computed otherwise, a constant model could beat it by the last bit.
    """
    never, always = (
        _metrics(y, np.full(len(y), constant), threshold) for constant in (0.0, 1.0)
    )
    return {
        name: _best(never[name], always[name])
        for name in METRICS
        if name not in LOWER_IS_BETTER
    }


def _best(one: float, other: float) -> float:
    return other if math.isnan(one) or other > one else one


def _slices(
    y: Outcomes, p: Floats, columns: pd.DataFrame, threshold: float
) -> tuple[SliceRow, ...]:
    rows = []
    for column in columns.columns:
        for group, inside in groups_of(columns[column]):
            truth, chance = y[inside], p[inside]
            known = not np.isnan(chance).any()
            right = float(((chance > threshold) == truth).mean()) if known else math.nan
            auc = _ranking(roc_auc_score, truth, chance)
            rate = float(truth.mean())
            rows.append(SliceRow(str(column), group, len(truth), right, auc, rate))
    return tuple(rows)
