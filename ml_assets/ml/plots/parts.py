"""What plots of several tasks have: importance, calibration, and axes from 0 to 1."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ml_assets.ml.importance import Importance
from ml_assets.ml.plots.style import BLUE, GREY, figure_of, png, short

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
