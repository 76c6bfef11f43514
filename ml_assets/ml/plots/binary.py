"""Plots of a binary evaluation: ROC, precision and recall, calibration, confusion."""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray
from sklearn.metrics import precision_recall_curve, roc_curve

from ml_assets.ml.importance import Importance
from ml_assets.ml.plots.costs import cost_curve
from ml_assets.ml.plots.parts import (
    calibration_curve,
    figures,
    importance_bars,
    thinned,
    undefined,
    unit_axes,
)
from ml_assets.ml.plots.style import BLUE, GREY, ORANGE, figure_of, png, short
from ml_assets.ml.tasks.binary_metrics import BinaryEvaluation
from ml_assets.ml.tasks.costs import Costs
from ml_assets.records.plan import Label

Floats = NDArray[np.float64]
Outcomes = NDArray[np.int64]


def plots(
    y: Outcomes,
    probability: Floats,
    evaluation: BinaryEvaluation,
    importance: Sequence[Importance],
    labels: tuple[Label, Label] = (0, 1),
    costs: Costs | None = None,
) -> dict[str, bytes]:
    """Every plot of an evaluation.

    Parameters
    ----------
    y : ndarray of shape (n_rows,)
        The truth as 0 and 1.
    probability : ndarray of shape (n_rows,)
        Of class 1.
    evaluation : BinaryEvaluation
        The figures of the same rows.
    importance : sequence of Importance
        The most important first.
    labels : tuple
        The values that 0 and 1 encode.
    costs : Costs, optional
        With the amounts of these rows, where it has some.

    Returns
    -------
    dict of str to bytes
        ``roc``, ``precision_recall``, ``calibration``, ``confusion``,
        ``probabilities``, ``importance``, and with costs ``expected_cost``: PNG images
        of 640 by 440 points.
    """
    found = {
        "roc": roc(y, probability, evaluation),
        "precision_recall": precision_recall(y, probability, evaluation),
        "calibration": calibration(evaluation),
        "confusion": confusion(evaluation, labels),
        "probabilities": probabilities(y, probability, labels),
        "importance": importance_bars(
            importance, "Loss of ROC AUC when the column is shuffled"
        ),
    }
    if costs is not None:
        found["expected_cost"] = cost_curve(y, probability, evaluation, costs)
    return found


def roc(y: Outcomes, probability: Floats, evaluation: BinaryEvaluation) -> bytes:
    """True positive rate against false positive rate."""
    value = evaluation.metrics["roc_auc"]
    figure, axes = figure_of(f"ROC curve (area {figures(value)})")
    unit_axes(axes, "False positive rate", "True positive rate")
    if math.isnan(value):
        return undefined(figure, axes)
    x, height, _ = roc_curve(y, probability)
    axes.plot([0, 1], [0, 1], color=GREY, linestyle="--", label="chance")
    axes.plot(*thinned(x, height), color=BLUE, linewidth=2, label="this version")
    c = evaluation.confusion
    if c is not None:
        rate = c.false_positive / (evaluation.n - evaluation.positives)
        _mark(axes, rate, c.true_positive / evaluation.positives, evaluation)
    axes.legend(loc="lower right", frameon=False)
    return png(figure)


def precision_recall(
    y: Outcomes, probability: Floats, evaluation: BinaryEvaluation
) -> bytes:
    """Precision against recall."""
    value = evaluation.metrics["average_precision"]
    figure, axes = figure_of(
        f"Precision and recall (average precision {figures(value)})"
    )
    unit_axes(axes, "Recall", "Precision")
    if math.isnan(value):
        return undefined(figure, axes)
    precision, recall, _ = precision_recall_curve(y, probability)
    rate = evaluation.positives / evaluation.n
    chance = f"chance ({rate:.1%} positive)"
    axes.axhline(rate, color=GREY, linestyle="--", label=chance)
    curve = thinned(recall, precision)
    axes.step(*curve, where="post", color=BLUE, linewidth=2, label="this version")
    found = evaluation.metrics
    _mark(axes, found["recall"], found["precision"], evaluation)
    axes.legend(loc="lower left", frameon=False)
    return png(figure)


def calibration(evaluation: BinaryEvaluation) -> bytes:
    """Rate of positives against predicted probability, bin by bin."""
    return calibration_curve(
        evaluation.calibration,
        evaluation.metrics["calibration_error"],
        "Mean predicted probability",
        "Share of positives",
    )


def confusion(
    evaluation: BinaryEvaluation, labels: tuple[Label, Label] = (0, 1)
) -> bytes:
    """Rows by truth and prediction."""
    figure, axes = figure_of(
        f"Confusion at probability > {evaluation.threshold:.4g} ({evaluation.n:,} rows)"
    )
    axes.set_xlabel("Predicted")
    axes.set_ylabel("True")
    c = evaluation.confusion
    if c is None:
        return undefined(figure, axes)
    counts = np.array(
        [[c.true_negative, c.false_positive], [c.false_negative, c.true_positive]]
    )
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for row, column in np.ndindex(2, 2):
        share = shares[row, column]
        axes.text(
            column,
            row,
            f"{counts[row, column]:,}\n{share:.1%} of row",
            ha="center",
            va="center",
            fontsize=13,
            color="white" if share > 0.5 else "black",
        )
    names = [short(label) for label in labels]
    axes.set_xticks([0, 1], names)
    axes.set_yticks([0, 1], names, rotation=90, va="center")
    axes.tick_params(length=0)
    axes.grid(False)
    axes.spines[:].set_visible(False)
    return png(figure)


def probabilities(
    y: Outcomes, probability: Floats, labels: tuple[Label, Label] = (0, 1)
) -> bytes:
    """How the predicted probabilities of each class are spread."""
    figure, axes = figure_of("Predicted probabilities by true class")
    bins = [step / 40 for step in range(41)]
    for value, colour in ((0, ORANGE), (1, BLUE)):
        part = probability[(y == value) & ~np.isnan(probability)]
        label = f"true {short(labels[value])} ({len(part):,} rows)"
        # A share of its own class, or the rarer class would not be seen.
        weight = np.full(len(part), 100 / max(len(part), 1))
        axes.hist(part, bins, weights=weight, color=colour, alpha=0.55, label=label)
    axes.set_xlim(0, 1)
    axes.set_xlabel(f"Predicted probability of {short(labels[1])}")
    axes.set_ylabel("Rows of the class (%)")
    axes.legend(frameon=False)
    return png(figure)


def _mark(axes: Axes, x: float, y: float, evaluation: BinaryEvaluation) -> None:
    """The point of the version's threshold."""
    label = f"probability > {evaluation.threshold:.4g}"
    axes.plot([x], [y], "o", color=ORANGE, label=label)
