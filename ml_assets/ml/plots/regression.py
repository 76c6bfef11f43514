"""Plots of a regression evaluation: predicted and true values, and errors."""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from ml_assets.ml.importance import Importance
from ml_assets.ml.plots.parts import importance_bars, undefined
from ml_assets.ml.plots.style import BLUE, GREY, ORANGE, figure_of, png
from ml_assets.ml.tasks.regression_metrics import RegressionEvaluation

# More points than these would be one blot.
MAX_SCATTER = 2_000
GROUPS = 10
UNDEFINED = "not defined: an answer is NaN"
Floats = NDArray[np.float64]


def plots(
    y: Floats,
    answers: Floats,
    evaluation: RegressionEvaluation,
    importance: Sequence[Importance],
) -> dict[str, bytes]:
    """Every plot of an evaluation.

    Parameters
    ----------
    y, answers : ndarray of shape (n_rows,)
    evaluation : RegressionEvaluation
        The figures of the same rows.
    importance : sequence of Importance
        The most important first.

    Returns
    -------
    dict of str to bytes
        ``predicted``, ``residuals``, ``errors``, ``deciles``, ``importance``: PNG
        images of 640 by 440 points.
    """
    return {
        "predicted": predicted(y, answers, evaluation),
        "residuals": residuals(y, answers, evaluation),
        "errors": errors(y, answers, evaluation),
        "deciles": deciles(y, answers),
        "importance": importance_bars(
            importance, "Rise of mean absolute error when the column is shuffled"
        ),
    }


def predicted(y: Floats, answers: Floats, evaluation: RegressionEvaluation) -> bytes:
    """True against predicted values, with the band of the intervals, if any."""
    metrics = evaluation.metrics
    shown = f"R² {_figures(metrics['r2'])}"
    if evaluation.level is not None:
        shown += f", intervals hold {_percent(metrics['coverage'])}"
    figure, axes = figure_of(f"Predicted and true values ({shown})")
    axes.set_xlabel("Predicted")
    axes.set_ylabel("True")
    if np.isnan(answers).any():
        return undefined(figure, axes, UNDEFINED)
    low, high = _range(np.concatenate([y, answers]))
    axes.plot([low, high], [low, high], color=GREY, linestyle="--", label="perfect")
    axes.axhline(evaluation.mean, color=ORANGE, linewidth=1, label="mean of training")
    if evaluation.level is not None:
        half = metrics["interval_width"] / 2
        ends, label = np.array([low, high]), f"interval of {_percent(evaluation.level)}"
        edges = ends - half, ends + half
        axes.fill_between(ends, *edges, color=GREY, alpha=0.2, linewidth=0, label=label)
    _scatter(axes, answers, y)
    axes.set_xlim(low, high)
    axes.set_ylim(low, high)
    axes.legend(loc="upper left", frameon=False)
    return png(figure)


def residuals(y: Floats, answers: Floats, evaluation: RegressionEvaluation) -> bytes:
    """Errors against predicted values: whether they grow, or lean to one side."""
    bias = evaluation.metrics["mean_error"]
    figure, axes = figure_of(f"Errors by prediction (mean error {_figures(bias)})")
    axes.set_xlabel("Predicted")
    axes.set_ylabel("Predicted less true")
    if np.isnan(answers).any():
        return undefined(figure, axes, UNDEFINED)
    axes.axhline(0, color="black", linewidth=0.8)
    _scatter(axes, answers, answers - y)
    centres, middles = _medians(answers, answers - y)
    axes.plot(centres, middles, color=ORANGE, linewidth=2, label="median of a tenth")
    axes.legend(loc="best", frameon=False)
    return png(figure)


def errors(y: Floats, answers: Floats, evaluation: RegressionEvaluation) -> bytes:
    """How the errors are spread, beside those of the mean of training."""
    mae, rmse = evaluation.metrics["mae"], evaluation.metrics["rmse"]
    figure, axes = figure_of(f"Errors (MAE {_figures(mae)}, RMSE {_figures(rmse)})")
    axes.set_xlabel("Predicted less true")
    axes.set_ylabel("Rows (%)")
    if np.isnan(answers).any():
        return undefined(figure, axes, UNDEFINED)
    own, constant = answers - y, evaluation.mean - y
    low, high = np.quantile(np.concatenate([own, constant]), [0.005, 0.995])
    margin = 0.0 if high > low else 1.0
    # Of few rows, more bins would show nothing but chance.
    bins = max(8, min(40, round(len(y) ** 0.5 * 1.5)))
    edges = np.linspace(low - margin, high + margin, bins + 1).tolist()
    for values, colour, label in (
        (constant, GREY, "mean of training"),
        (own, BLUE, "this version"),
    ):
        weight = np.full(len(values), 100 / len(values))
        axes.hist(values, edges, weights=weight, color=colour, alpha=0.55, label=label)
    axes.axvline(0, color="black", linewidth=0.8)
    axes.legend(loc="upper right", frameon=False)
    return png(figure)


def deciles(y: Floats, answers: Floats) -> bytes:
    """Mean predicted and mean true value of each tenth of the predictions."""
    figure, axes = figure_of("Mean of each tenth of the predictions")
    axes.set_xlabel("Tenth of the rows, the lowest predictions first")
    axes.set_ylabel("Mean value")
    if np.isnan(answers).any():
        return undefined(figure, axes, UNDEFINED)
    parts = np.array_split(np.argsort(answers, kind="stable"), min(GROUPS, len(y)))
    x = np.arange(1, len(parts) + 1)
    true = [float(y[part].mean()) for part in parts]
    spread = [
        1.96 * float(y[part].std(ddof=1)) / math.sqrt(len(part)) if len(part) > 1 else 0
        for part in parts
    ]
    mean = [float(answers[part].mean()) for part in parts]
    axes.errorbar(
        x, true, spread, color=ORANGE, fmt="s", capsize=3, label="true (95 % interval)"
    )
    axes.plot(x, mean, color=BLUE, marker="o", linewidth=1.8, label="predicted")
    axes.set_xticks(x)
    axes.legend(loc="upper left", frameon=False)
    return png(figure)


def _scatter(axes: Axes, x: Floats, y: Floats) -> None:
    chosen = np.linspace(0, len(x) - 1, min(len(x), MAX_SCATTER)).astype(int)
    alpha = 0.7 if len(chosen) < 300 else 0.35
    size = 22 if len(chosen) < 300 else 12
    axes.scatter(x[chosen], y[chosen], size, color=BLUE, alpha=alpha, linewidths=0)


def _medians(x: Floats, y: Floats) -> tuple[list[float], list[float]]:
    """Median x and y of each tenth of the rows, by x."""
    parts = np.array_split(np.argsort(x, kind="stable"), min(GROUPS, len(x)))
    centres = [float(np.median(x[part])) for part in parts]
    return centres, [float(np.median(y[part])) for part in parts]


def _range(values: Floats) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    margin = 0.03 * (high - low) or 1.0
    return low - margin, high + margin


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def _figures(value: float) -> str:
    return "not defined" if math.isnan(value) else f"{value:.4g}"
