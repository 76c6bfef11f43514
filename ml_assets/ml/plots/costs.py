"""The plot of a decision with costs: what a row costs at each threshold."""

import numpy as np
from numpy.typing import NDArray

from ml_assets.ml.plots.parts import thinned, undefined
from ml_assets.ml.plots.style import BLUE, GREY, ORANGE, figure_of, png
from ml_assets.ml.tasks.binary_metrics import BinaryEvaluation
from ml_assets.ml.tasks.costs import Costs, mean_costs
from ml_assets.spec.decision import EXPECTED_COST

Floats = NDArray[np.float64]
# Of a rare class the thresholds of interest are near 0.
LEAST_THRESHOLD = 1e-4


def cost_curve(
    y: NDArray[np.int64],
    probability: Floats,
    evaluation: BinaryEvaluation,
    costs: Costs,
) -> bytes:
    """The mean cost of a row against the threshold, and the threshold of the version.

    Parameters
    ----------
    y : ndarray of shape (n_rows,)
        The truth as 0 and 1.
    probability : ndarray of shape (n_rows,)
        Of class 1.
    evaluation : BinaryEvaluation
        The figures of the same rows.
    costs : Costs
        With the amounts of the same rows, where it has some.
    """
    own = evaluation.metrics[EXPECTED_COST]
    figure, axes = figure_of(
        f"Expected cost ({own:.4g} a row at probability > {evaluation.threshold:.4g})"
    )
    axes.set_xlabel("Threshold")
    axes.set_ylabel("Mean cost of a row")
    if np.isnan(own):
        return undefined(figure, axes)
    edges = np.unique(np.concatenate([[LEAST_THRESHOLD], probability]))
    edges = edges[(edges >= LEAST_THRESHOLD) & (edges < 1)]
    curve = thinned(edges, mean_costs(y, probability, costs, edges))
    axes.step(*curve, where="post", color=BLUE, linewidth=2, label="this version")
    constant = evaluation.majority[EXPECTED_COST]
    label = f"best constant decision ({constant:.4g})"
    axes.axhline(constant, color=GREY, linestyle="--", label=label)
    axes.plot([evaluation.threshold], [own], "o", color=ORANGE, label="its threshold")
    axes.set_xscale("log")
    axes.set_xlim(LEAST_THRESHOLD, 1)
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False)
    return png(figure)
