"""Plots of what happens after deployment: images, whatever the figures are."""

import math

import numpy as np
import pandas as pd
import pytest

from ml_assets.ml.drift import DriftReport, compare
from ml_assets.ml.performance import by_day
from ml_assets.ml.plots import monitoring
from ml_assets.ml.profile import profile
from ml_assets.ml.sequential import Shadow, Split
from ml_assets.ml.tasks import Binary, Regression, Task

PNG = b"\x89PNG"


def report(rows: int, columns: int) -> DriftReport:
    rng = np.random.default_rng(0)
    names = [f"column {number}" for number in range(columns)]
    before = pd.DataFrame({name: rng.normal(size=500) for name in names})
    before["kind"] = rng.choice(["a", "b", "$c"], 500)
    reference = profile(before, rng.random(500))
    after = before.head(rows)
    return compare(reference, after, rng.random(rows))


@pytest.mark.parametrize("rows, columns", [(0, 1), (1, 1), (500, 1), (300, 30)])
def test_a_drift_report_has_its_plots(rows: int, columns: int) -> None:
    found = report(rows, columns)
    assert monitoring.drift(found).startswith(PNG)
    assert monitoring.distributions(found).startswith(PNG)


@pytest.mark.parametrize("labels", [0, 1, 5_000])
def test_evidence_is_drawn_from_no_label_to_many(labels: int) -> None:
    rng = np.random.default_rng(0)
    first, second = rng.random((2, labels)) < 0.8
    shadow = Shadow()
    for trace in (
        shadow.trace(first, second),
        Split(expected=0.8).trace(first, second, 0.5) if labels else None,
    ):
        if trace is not None:
            image = monitoring.evidence(trace, shadow.threshold, shadow.describe())
            assert image.startswith(PNG)


@pytest.mark.parametrize("days", [1, 40])
@pytest.mark.parametrize("task", [Binary("no", "yes"), Regression()])
def test_performance_is_drawn_for_a_day_and_for_many(days: int, task: Task) -> None:
    rng = np.random.default_rng(0)
    n = 20 * days
    joined = pd.DataFrame(
        {
            "version": "v1",
            "day": [f"day {number % days:02d}" for number in range(n)],
            task.column: rng.random(n),
            "truth": rng.choice(["no", "yes"] if task.labels else ["0.5", "2"], n),
        }
    )
    periods = by_day(joined, {"v1": task})
    assert monitoring.performance(periods, "v1", 0.8).startswith(PNG)
    assert monitoring.performance(periods, "v1", math.nan).startswith(PNG)
