"""Prediction intervals: their coverage, and how they follow from training rows."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from ml_assets.ml.estimators import EstimatorError
from ml_assets.ml.prediction_interval import (
    coverage_lower_bound,
    covered,
    interval_of,
)
from ml_assets.ml.tasks import Regression
from ml_assets.ml.training import Trained, train
from ml_assets.records.plan import Interval
from ml_assets.spec.model import ModelSpec


def prices(rows: int, seed: int = 0) -> pd.DataFrame:
    """With noise of heavy tails, which no normal interval would fit."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(rows, 3))
    noise = random.standard_t(3, rows)
    return pd.DataFrame(x, columns=["a", "b", "c"]).assign(
        day=np.arange(rows), price=2 * x[:, 0] - x[:, 1] + noise
    )


def trained(table: pd.DataFrame, **more: Any) -> Trained:
    given = {
        "name": "prices",
        "source": {"type": "synthetic"},
        "target": "price",
        "task": "regression",
        "estimator": {"type": "sklearn.linear_model.LinearRegression"},
        "features": {"drop": ["day"]},
        "gate": {"metric": "mae", "below": 100},
        "interval": 0.9,
    }
    test = np.arange(len(table)) % 2 == 0
    return train(table, ModelSpec.model_validate({**given, **more}), test)


def interval(found: Trained) -> Interval:
    assert isinstance(found.task, Regression) and found.task.interval is not None
    return found.task.interval


def coverage(found: Trained) -> float:
    answers = found.task.answers(found.pipeline, found.x_test)
    return found.task.evaluate(found.y_test, answers).metrics["coverage"]


@pytest.mark.parametrize("level", [0.5, 0.8, 0.95])
def test_intervals_hold_their_share_of_outcomes_on_average(level: float) -> None:
    found = [coverage(trained(prices(600, seed), interval=level)) for seed in range(30)]
    # The spread of the mean: of calibration and of the test rows, 300 each.
    spread = np.sqrt(level * (1 - level) * (1 / 300 + 1 / 300) / len(found))
    assert np.mean(found) == pytest.approx(level, abs=4 * spread + 1 / 300)


def test_a_model_that_learns_its_rows_by_heart_is_not_believed() -> None:
    tree = {"type": "sklearn.tree.DecisionTreeRegressor"}
    found = trained(prices(2_000), estimator=tree)
    rows = ~found.test
    learnt = found.task.answers(found.pipeline, found.x[rows])
    assert np.abs(learnt - found.y[rows]).max() < 1e-9
    assert coverage(found) == pytest.approx(0.9, abs=0.05)


def test_no_test_row_has_a_part_in_the_interval() -> None:
    table = prices(400)
    other = table.assign(price=table["price"].where(table.index % 2 == 1, 1e6))
    assert interval(trained(table)) == interval(trained(other))


def test_rows_in_time_are_scored_by_what_was_before_them() -> None:
    table = prices(600)
    found = trained(table, split={"type": "time", "column": "day"})
    # Five origins: the first sixth of the training rows is fitted on alone.
    assert interval(found).rows == 250
    assert any("interval: the value ±" in note for note in found.notes)


def test_the_half_width_is_the_quantile_for_finite_samples() -> None:
    errors = np.arange(1.0, 100.0) * np.where(np.arange(99) % 2, 1, -1)
    assert [interval_of(errors, level).half_width for level in (0.9, 0.901, 0.99)] == [
        90.0,
        91.0,
        99.0,
    ]


@pytest.mark.parametrize(
    "errors, message",
    [
        (np.ones(98), "an interval of 0.99 needs 99 rows, found 98"),
        (np.full(200, np.nan), "half width nan"),
    ],
)
def test_errors_that_give_no_interval_are_refused(errors: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        interval_of(errors, 0.99)


def test_too_few_training_rows_are_said_before_anything_is_stored() -> None:
    with pytest.raises(EstimatorError, match="interval cannot be found on 5 folds.*99"):
        trained(prices(100), interval=0.99)


def test_coverage_given_the_calibration_rows_has_the_bound_of_theory() -> None:
    random = np.random.default_rng(0)
    made = [interval_of(random.normal(size=200), 0.9) for _ in range(4_000)]
    true = 2 * stats.norm.cdf([item.half_width for item in made]) - 1
    below = np.mean(true < coverage_lower_bound(made[0], 0.05))
    assert below == pytest.approx(0.05, abs=4 * np.sqrt(0.05 * 0.95 / 4_000))


def test_the_ends_are_inside_as_they_are_served() -> None:
    width = Interval(level=0.9, half_width=0.2, rows=100)
    ends = np.array([0.1 - 0.2, 0.1 + 0.2])
    assert covered(width, ends, np.array([0.1, 0.1])).all()


def live(task: Regression, share: float, rows: int = 3_000) -> tuple[Any, Any]:
    """Outcomes and values, with a share of outcomes inside of intervals of ±1."""
    random = np.random.default_rng(1)
    values = random.normal(size=rows)
    inside = random.random(rows) < share
    return values + np.where(inside, 0.5, 1.5), values


TASK = Regression(interval=Interval(level=0.9, half_width=1.0, rows=2_000))


def test_live_coverage_that_falls_short_is_found_and_other_is_not() -> None:
    offline = {"rows": 500.0}
    (good,) = TASK.degradations(*live(TASK, 0.9), offline)
    (bad,) = TASK.degradations(*live(TASK, 0.8), offline)
    assert not good.degraded and bad.degraded
    assert bad.metric == "coverage" and "live coverage 0.7993" in bad.sentence
    assert TASK.live(*live(TASK, 0.8), 0.95)["coverage"].value == pytest.approx(
        0.8, abs=0.03
    )
    assert TASK.bounds(*live(TASK, 0.8))["expected_coverage"] == 0.9


def test_good_intervals_are_hardly_ever_called_degraded() -> None:
    """With a look at each of 1,000 labels, of intervals made of 300 rows."""
    random = np.random.default_rng(0)
    alarms = 0
    for _ in range(300):
        made = interval_of(random.normal(size=300), 0.9)
        y = random.normal(size=1_000)
        task = replace(TASK, interval=made)
        alarms += task.degradations(y, np.zeros(1_000), {})[0].degraded
    assert alarms <= 6


def test_intervals_of_few_rows_are_held_against_nothing() -> None:
    few = replace(TASK, interval=Interval(level=0.1, half_width=1.0, rows=9))
    assert few.degradations(*live(few, 0.5), {}) == []


@pytest.mark.parametrize("answer", [0.0, np.nan], ids=["numbers", "a missing answer"])
def test_the_plot_of_predictions_has_the_band(answer: float) -> None:
    y, values = live(TASK, 0.9, rows=50)
    values[0] = answer
    found = TASK.evaluate(y, values)
    with_band = TASK.plots(y, values, found, [])["predicted"]
    plain = Regression()
    without = plain.plots(y, values, plain.evaluate(y, values), [])["predicted"]
    assert with_band.startswith(b"\x89PNG") and with_band != without
    assert np.isnan(found.metrics["coverage"]) == np.isnan(answer)


def test_without_an_interval_nothing_of_it_is_reported() -> None:
    task = Regression()
    y, values = live(task, 0.5)
    assert "coverage" not in task.evaluate(y, values).metrics
    assert "coverage" not in task.live(y, values, 0.95)
    assert "expected_coverage" not in task.bounds(y, values)
    assert task.degradations(y, values, {}) == []
