"""Plots: images of a known size that show what they should, also where data is odd."""

import sys

import numpy as np
import pytest

from ml_assets.ml.importance import Importance
from ml_assets.ml.plots.binary import confusion, plots, precision_recall, roc
from ml_assets.ml.tasks.binary_metrics import evaluate

GENERATOR = np.random.default_rng(0)
P = GENERATOR.random(3_000)
Y = (GENERATOR.random(3_000) < P).astype(np.int64)
IMPORTANCE = [Importance(f"column {i}", 0.1 / (i + 1), 0.01) for i in range(40)]
NAMES = {
    *("roc", "precision_recall", "calibration", "confusion", "probabilities"),
    "importance",
}


def pixels(png):
    """Height, width and channels, as matplotlib reads the image."""
    import io

    from matplotlib.image import imread

    return imread(io.BytesIO(png))


@pytest.mark.parametrize(
    "y, p, importance, labels",
    [
        (Y, P, IMPORTANCE, ("<=50K", ">50K")),
        (np.ones(3, dtype=np.int64), np.array([0.1, 0.5, 0.9]), [], (0, 1)),
        (np.array([0, 1]), np.array([0.1, np.nan]), [], (False, True)),
        (Y, np.full(3_000, 0.3), IMPORTANCE[:1], ("$no$ {x}", "y" * 80)),
    ],
    ids=["usual", "one class", "nan", "constant"],
)
def test_every_plot_is_an_image_of_the_same_size(y, p, importance, labels):
    found = plots(y, p, evaluate(y, p), importance, labels)

    assert set(found) == NAMES
    for png in found.values():
        assert png.startswith(b"\x89PNG")
        assert pixels(png).shape[:2] == (440, 640)
        assert len(png) < 100_000


@pytest.mark.parametrize("plot", [roc, precision_recall], ids=["roc", "precision"])
def test_a_curve_shows_its_figures_and_nothing_else(plot):
    good, again, bad = (plot(Y, p, evaluate(Y, p)) for p in (P, P, 1 - P))

    assert good == again
    assert good != bad


def test_no_figure_is_left_in_a_global_list():
    confusion(evaluate(Y, P))

    pyplot = sys.modules.get("matplotlib.pyplot")
    assert pyplot is None or not pyplot.get_fignums()
