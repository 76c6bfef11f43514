"""Plots of a multiclass evaluation: confusion, classes, ROC, calibration."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_curve

from ml_assets.ml.importance import Importance
from ml_assets.ml.plots.parts import (
    calibration_curve,
    figures,
    importance_bars,
    thinned,
    undefined,
    unit_axes,
)
from ml_assets.ml.plots.style import (
    BLUE,
    COLOURS,
    GREY,
    ORANGE,
    figure_of,
    png,
    short,
)
from ml_assets.ml.tasks.multiclass_metrics import MulticlassEvaluation

# With more classes, their numbers and curves would cover each other.
MAX_NUMBERS, MAX_NAMES, MAX_CURVES = 12, 30, 8
Floats = NDArray[np.float64]
Outcomes = NDArray[np.int64]


def plots(
    y: Outcomes,
    answers: Floats,
    evaluation: MulticlassEvaluation,
    importance: Sequence[Importance],
) -> dict[str, bytes]:
    """Every plot of an evaluation.

    Parameters
    ----------
    y : ndarray of shape (n_rows,)
        Numbers of classes.
    answers : ndarray of shape (n_rows, n_classes)
    evaluation : MulticlassEvaluation
        The figures of the same rows.
    importance : sequence of Importance
        The most important first.

    Returns
    -------
    dict of str to bytes
        ``confusion``, ``classes``, ``roc``, ``calibration``, ``probabilities``,
        ``importance``: PNG images of 640 by 440 points.
    """
    return {
        "confusion": confusion(evaluation),
        "classes": classes(evaluation),
        "roc": roc(y, answers, evaluation),
        "calibration": calibration(evaluation),
        "probabilities": probabilities(y, answers),
        "importance": importance_bars(
            importance, "Rise of log loss when the column is shuffled"
        ),
    }


def confusion(evaluation: MulticlassEvaluation) -> bytes:
    """Rows by true class and decision; colours are shares of the true class."""
    accuracy = evaluation.metrics["accuracy"]
    figure, axes = figure_of(
        f"Confusion ({evaluation.n:,} rows, accuracy {figures(accuracy)})"
    )
    axes.set_xlabel("Predicted")
    axes.set_ylabel("True")
    if not evaluation.confusion:
        return undefined(figure, axes)
    counts = np.array(evaluation.confusion)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    if len(counts) <= MAX_NUMBERS:
        for row, column in np.argwhere(counts):
            axes.text(
                column,
                row,
                f"{counts[row, column]:,}",
                ha="center",
                va="center",
                fontsize=11 if len(counts) <= 6 else 9,
                color="white" if shares[row, column] > 0.5 else "black",
            )
    step = -(-len(counts) // MAX_NAMES)
    ticks = range(0, len(counts), step)
    names = [short(evaluation.classes[n].label, 14) for n in ticks]
    turned = sum(map(len, names)) > 60
    axes.set_xticks(ticks, names, rotation=45 if turned else 0)
    if turned:
        for label in axes.get_xticklabels():
            label.set_horizontalalignment("right")
    axes.set_yticks(ticks, names)
    axes.tick_params(length=0)
    axes.grid(False)
    axes.spines[:].set_visible(False)
    return png(figure)


def classes(evaluation: MulticlassEvaluation) -> bytes:
    """Precision and recall of each class, the lowest F1 first."""
    figure, axes = figure_of(
        f"Classes (macro F1 {figures(evaluation.metrics['f1_macro'])})"
    )
    axes.set_xlabel("Precision and recall")
    rows = [row for row in evaluation.classes if row.n]
    if not evaluation.confusion or not rows:
        return undefined(figure, axes)
    rows = sorted(rows, key=lambda row: row.f1)[:MAX_NAMES][::-1]
    heights = np.arange(len(rows))
    for row, height in zip(rows, heights, strict=True):
        ends = [value for value in (row.precision, row.recall) if value == value]
        axes.plot([min(ends), max(ends)], [height] * 2, color=GREY, linewidth=2)
    for key, colour, marker in (("precision", ORANGE, "s"), ("recall", BLUE, "o")):
        values = [getattr(row, key) for row in rows]
        axes.scatter(values, heights, 55, color=colour, marker=marker, label=key)
    names = [f"{short(row.label, 18)} ({row.n:,})" for row in rows]
    axes.set_yticks(heights, names, fontsize=10 if len(rows) <= 15 else 7)
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.7, len(rows) - 0.3)
    axes.legend(loc="lower left", frameon=False)
    return png(figure)


def roc(y: Outcomes, answers: Floats, evaluation: MulticlassEvaluation) -> bytes:
    """One class against all others: the classes with the smallest areas."""
    value = evaluation.metrics["roc_auc_ovr"]
    figure, axes = figure_of(f"ROC of each class (mean area {figures(value)})")
    unit_axes(axes, "False positive rate", "True positive rate")
    known = [
        (row.roc_auc, number)
        for number, row in enumerate(evaluation.classes)
        if not math.isnan(row.roc_auc)
    ]
    if not known:
        return undefined(figure, axes)
    axes.plot([0, 1], [0, 1], color=GREY, linestyle="--", label="chance")
    for (area, number), colour in zip(sorted(known)[:MAX_CURVES], COLOURS):
        x, height, _ = roc_curve(y == number, answers[:, number])
        name = f"{short(evaluation.classes[number].label, 16)} ({area:.3f})"
        axes.plot(*thinned(x, height), color=colour, linewidth=1.8, label=name)
    rest = len(known) - MAX_CURVES
    title = f"{MAX_CURVES} smallest of {len(known)} areas" if rest > 0 else None
    axes.legend(loc="lower right", frameon=False, fontsize=9, title=title)
    return png(figure)


def calibration(evaluation: MulticlassEvaluation) -> bytes:
    """How often the most probable class is true, against its probability."""
    return calibration_curve(
        evaluation.calibration,
        evaluation.metrics["calibration_error"],
        "Mean probability of the most probable class",
        "Accuracy",
    )


def probabilities(y: Outcomes, answers: Floats) -> bytes:
    """The probability of the most probable class, where it is right and wrong."""
    figure, axes = figure_of("Probability of the most probable class")
    top, right = answers.max(axis=1), answers.argmax(axis=1) == y
    bins = [step / 40 for step in range(41)]
    for rows, colour, name in ((~right, ORANGE, "wrong"), (right, BLUE, "right")):
        part = top[rows & ~np.isnan(top)]
        # A share of its own, or the wrong ones would not be seen.
        weight = np.full(len(part), 100 / max(len(part), 1))
        label = f"{name} ({len(part):,} rows)"
        axes.hist(part, bins, weights=weight, color=colour, alpha=0.55, label=label)
    axes.set_xlim(0, 1)
    axes.set_xlabel("Predicted probability")
    axes.set_ylabel("Right and wrong rows (%)")
    axes.legend(frameon=False, loc="upper left")
    return png(figure)
