"""What plots of several tasks have: importance, calibration, and axes from 0 to 1."""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ml_assets.ml.importance import Importance
from ml_assets.ml.plots.style import BLUE, GREY, figure_of, png, short
from ml_assets.ml.tasks.calibration import CalibrationBin

MAX_POINTS = 1_000
MAX_BARS = 15
Floats = NDArray[np.float64]
UNDEFINED = "not defined: the rows have one class only,\nor a probability is NaN"


def importance_bars(importance: Sequence[Importance], what: str) -> bytes:
    """What shuffling each column costs, for the 15 that matter most.

    Parameters
    ----------
    what : str
        The label of the axis.
    """
    shown = list(reversed(importance[:MAX_BARS]))
    figure, axes = figure_of("Permutation importance of raw columns")
    axes.set_xlabel(what)
    if not shown:
        return undefined(figure, axes)
    names = [short(item.column) for item in shown]
    positions = np.arange(len(shown))
    spread = [item.std for item in shown]
    means = [item.mean for item in shown]
    axes.barh(positions, means, xerr=spread, color=BLUE, ecolor=GREY, capsize=2)
    axes.set_yticks(positions, names)
    axes.axvline(0, color="black", linewidth=0.8)
    axes.grid(False, axis="y")
    return png(figure)


def calibration_curve(
    bins: Sequence[CalibrationBin], error: float, x_label: str, y_label: str
) -> bytes:
    """How often what is probable happens against its probability, bin by bin."""
    figure, axes = figure_of(f"Calibration (expected error {figures(error)})")
    unit_axes(axes, x_label, y_label)
    bins = [item for item in bins if item.n]
    if not bins:
        return undefined(figure, axes)
    x, height = zip(*((item.mean_probability, item.positive_rate) for item in bins))
    most = max(item.n for item in bins)
    sizes = [20 + 180 * item.n / most for item in bins]
    axes.plot([0, 1], [0, 1], color=GREY, linestyle="--", label="perfect")
    axes.plot(x, height, color=BLUE, linewidth=1.5)
    label = "this version (area: rows)"
    axes.scatter(x, height, sizes, color=BLUE, alpha=0.8, label=label, zorder=3)
    axes.legend(loc="upper left", frameon=False, markerscale=0.6)
    return png(figure)


def figures(value: float) -> str:
    """A metric in a title, with four decimals."""
    return "not defined" if math.isnan(value) else f"{value:.4f}"


def unit_axes(axes: Axes, x: str, y: str) -> None:
    """Axes from 0 to 1."""
    axes.set_xlim(-0.01, 1.01)
    axes.set_ylim(-0.01, 1.03)
    axes.set_xlabel(x)
    axes.set_ylabel(y)


def undefined(figure: Figure, axes: Axes, why: str = UNDEFINED) -> bytes:
    """The figure without a curve, and the reason."""
    axes.text(0.5, 0.5, why, color=GREY, ha="center", transform=axes.transAxes)
    return png(figure)


def thinned(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """At most a thousand points; more cannot be seen at this size."""
    chosen = np.linspace(0, len(x) - 1, min(len(x), MAX_POINTS)).astype(int)
    return x[chosen], y[chosen]
