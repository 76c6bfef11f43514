"""How well the probabilities of several classes agree with what happened."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import rankdata

from ml_assets.ml.intervals import wilson
from ml_assets.ml.slices import groups_of
from ml_assets.ml.tasks.calibration import CalibrationBin, bins_of, calibration_error
from ml_assets.ml.tasks.significance import (
    RANKING,
    lower_losses,
    mcnemar,
    permutation_p_values,
)
from ml_assets.ml.tasks.task import Evaluation, Floats, Outcomes, check_lengths
from ml_assets.records.plan import Label

METRICS = (
    "accuracy",
    "balanced_accuracy",
    "f1_macro",
    "f1_weighted",
    "roc_auc_ovr",
    "log_loss",
    "calibration_error",
)


@dataclass(frozen=True)
class ClassRow:
    """Figures of one class against all others."""

    label: Label
    n: int
    precision: float
    recall: float
    f1: float
    roc_auc: float


@dataclass(frozen=True)
class SliceRow:
    """Figures of one group of the test rows."""

    column: str
    group: str
    n: int
    accuracy: float
    balanced_accuracy: float


@dataclass(frozen=True)
class MulticlassEvaluation(Evaluation):
    """The figures of one version on one set of test rows.

    Attributes
    ----------
    metrics : dict of str to float
        ``accuracy``, ``balanced_accuracy``, ``f1_macro``, ``f1_weighted``,
        ``roc_auc_ovr`` (mean of one class against all others; Provost and Domingos,
        2003), ``log_loss`` and ``calibration_error`` (of the most probable class, over
        ten bins; Guo et al., 2017). A class of which there is no row counts in none.
    majority : dict of str to float
        Of always answering the most frequent class; ``log_loss`` of always answering
        the frequencies.
    accuracy_interval : tuple of float
        Wilson's 95 % interval.
    classes : tuple of ClassRow
    confusion : tuple of tuple of int
        Rows by true class, then by decision; empty where a probability is NaN.
    calibration : tuple of CalibrationBin
        Of the most probable class.
    """

    accuracy_interval: tuple[float, float]
    classes: tuple[ClassRow, ...]
    confusion: tuple[tuple[int, ...], ...]
    calibration: tuple[CalibrationBin, ...]


def evaluate(
    y: Outcomes,
    answers: Floats,
    classes: Sequence[Label],
    slices: pd.DataFrame | None = None,
) -> MulticlassEvaluation:
    """Compare probabilities with the truth.

    Parameters
    ----------
    y : ndarray of shape (n_rows,)
        Numbers of classes.
    answers : ndarray of shape (n_rows, n_classes)
    slices : DataFrame of shape (n_rows, n_columns), optional
        Columns whose groups are reported apart.

    Raises
    ------
    ValueError
        If there are no rows, or the shapes differ.

    Examples
    --------
    >>> figures = evaluate(np.array([0, 1, 2, 2]), np.eye(3)[[0, 1, 1, 2]], "abc")
    >>> figures.metrics["accuracy"], figures.metrics["balanced_accuracy"]
    (0.75, 0.8333333333333334)
    """
    check_lengths(y, answers)
    if answers.ndim != 2 or answers.shape[1] != len(classes):
        raise ValueError(
            f"expected the probabilities of {len(classes)} classes, found"
            f" {answers.shape}"
        )
    k, known = len(classes), not np.isnan(answers).any()
    table = confusion(y, answers.argmax(axis=1), k) if known else None
    aucs = class_aucs(y, answers, k) if known else np.full(k, math.nan)
    metrics = _metrics(y, answers, table, aucs)
    top, right = answers.max(axis=1), answers.argmax(axis=1) == y
    return MulticlassEvaluation(
        n=len(y),
        metrics=metrics,
        majority=_best_constant(y, k),
        chance=_chance(y, answers, metrics) if known else {},
        slices=() if slices is None else tuple(_slices(y, answers, slices, k)),
        accuracy_interval=wilson(metrics["accuracy"], len(y)),
        classes=_class_rows(classes, y, table, aucs),
        confusion=() if table is None else tuple(tuple(map(int, row)) for row in table),
        calibration=bins_of(right.astype(np.float64), top) if known else (),
    )


def confusion(y: Outcomes, decided: Outcomes, k: int) -> NDArray[np.int64]:
    """Rows by true class and decision, of shape (k, k)."""
    return np.bincount(k * y + decided, minlength=k * k).reshape(k, k)


def log_losses(y: Outcomes, answers: Floats) -> Floats:
    """Negative log probability of the true class of each row."""
    # As scikit-learn: a certain but wrong row costs much, not infinitely much.
    tiny = np.finfo(np.float64).eps
    of_truth = np.clip(answers[np.arange(len(y)), y], tiny, 1 - tiny)
    return np.asarray(-np.log(of_truth))


def class_aucs(y: Outcomes, answers: Floats, k: int) -> Floats:
    """ROC AUC of each class against all others; NaN where one side has no row."""
    return _aucs(y, rankdata(answers, axis=0), k)


def _aucs(y: Outcomes, ranks: Floats, k: int) -> Floats:
    n = np.bincount(y, minlength=k).astype(np.float64)
    sums = np.array([ranks[y == number, number].sum() for number in range(k)])
    pairs = n * (len(y) - n)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(pairs, (sums - n * (n + 1) / 2) / pairs, math.nan))


def of_confusion(table: NDArray[np.int64]) -> dict[str, float]:
    """The metrics that follow from rows by true class and decision."""
    true, decided, right = table.sum(axis=1), table.sum(axis=0), np.diag(table)
    there = true > 0
    f1 = 2 * right / np.maximum(true + decided, 1)
    return {
        "accuracy": float(right.sum() / table.sum()),
        "balanced_accuracy": float((right[there] / true[there]).mean()),
        "f1_macro": float(f1[there].mean()),
        "f1_weighted": float((f1 * true).sum() / true.sum()),
    }


def _metrics(
    y: Outcomes, answers: Floats, table: NDArray[np.int64] | None, aucs: Floats
) -> dict[str, float]:
    if table is None:
        return dict.fromkeys(METRICS, math.nan)
    right = (answers.argmax(axis=1) == y).astype(np.float64)
    return {
        **of_confusion(table),
        "roc_auc_ovr": _mean(aucs),
        "log_loss": float(log_losses(y, answers).mean()),
        "calibration_error": calibration_error(right, answers.max(axis=1)),
    }


def _mean(values: Floats) -> float:
    return math.nan if np.isnan(values).all() else float(np.nanmean(values))


def _best_constant(y: Outcomes, k: int) -> dict[str, float]:
    rates = np.bincount(y, minlength=k) / len(y)
    always = np.full(len(y), rates.argmax())
    constant = of_confusion(confusion(y, always, k))
    prior = np.broadcast_to(rates, (len(y), k))
    return {
        **constant,
        "roc_auc_ovr": 0.5,
        "log_loss": float(log_losses(y, prior).mean()),
    }


def _chance(
    y: Outcomes, answers: Floats, metrics: dict[str, float]
) -> dict[str, float]:
    """P-values of the metrics, against answers that know nothing of a row."""
    k, decided = answers.shape[1], answers.argmax(axis=1)
    rates = np.bincount(y, minlength=k) / len(y)
    ranks = rankdata(answers, axis=0)
    prior = log_losses(y, np.broadcast_to(rates, answers.shape))

    def shuffled(order: NDArray[np.int64]) -> dict[str, float]:
        of_order = y[order]
        ranking = {RANKING: _mean(_aucs(of_order, ranks, k))}
        return of_confusion(confusion(of_order, decided, k)) | ranking

    observed = {**metrics, RANKING: metrics["roc_auc_ovr"]}
    names = ("balanced_accuracy", "f1_macro", "f1_weighted", RANKING)
    found = permutation_p_values(len(y), {n: observed[n] for n in names}, shuffled)
    return {
        "accuracy": mcnemar(decided == y, y == rates.argmax()),
        **found,
        "log_loss": lower_losses(log_losses(y, answers), prior),
    }


def _class_rows(
    classes: Sequence[Label],
    y: Outcomes,
    table: NDArray[np.int64] | None,
    aucs: Floats,
) -> tuple[ClassRow, ...]:
    counts = np.bincount(y, minlength=len(classes))
    rows = []
    for number, label in enumerate(classes):
        n = int(counts[number])
        if table is None:
            rows.append(ClassRow(label, n, *([math.nan] * 4)))
            continue
        right, decided = int(table[number, number]), int(table[:, number].sum())
        rows.append(
            ClassRow(
                label=label,
                n=n,
                precision=right / decided if decided else math.nan,
                recall=right / n if n else math.nan,
                f1=2 * right / (n + decided) if n + decided else math.nan,
                roc_auc=float(aucs[number]),
            )
        )
    return tuple(rows)


def _slices(
    y: Outcomes, answers: Floats, columns: pd.DataFrame, k: int
) -> list[SliceRow]:
    rows = []
    for column in columns.columns:
        for group, inside in groups_of(columns[column]):
            part, truth = answers[inside], y[inside]
            accuracy, balanced = math.nan, math.nan
            if not np.isnan(part).any():
                found = of_confusion(confusion(truth, part.argmax(axis=1), k))
                accuracy, balanced = found["accuracy"], found["balanced_accuracy"]
            rows.append(SliceRow(str(column), group, len(truth), accuracy, balanced))
    return rows
