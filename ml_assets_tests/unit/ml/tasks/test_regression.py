"""Numbers: their figures, and the constants of training that are to be beaten."""

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics

from ml_assets.ml.cleaning import FeatureError
from ml_assets.ml.gate import Gate
from ml_assets.ml.gate_figures import GateFigures
from ml_assets.ml.tasks import Regression, encode_target
from ml_assets.ml.tasks.regression import loss_bound, quantile_of
from ml_assets.prediction_log.segments import label_text
from ml_assets.spec.gate import GateSpec


def answered(rows: int = 400, noise: float = 1.0):
    random = np.random.default_rng(4)
    y = random.lognormal(2, 0.6, rows)
    return y, y + random.normal(scale=noise, size=rows)


@pytest.mark.parametrize("quantile", [0.5, 0.9])
def test_figures_are_those_of_scikit_learn(quantile):
    y, answers = answered()
    found = Regression(quantile).evaluate(y, answers).metrics
    expected = {
        "r2": metrics.r2_score(y, answers),
        "mae": metrics.mean_absolute_error(y, answers),
        "rmse": metrics.root_mean_squared_error(y, answers),
        "median_ae": metrics.median_absolute_error(y, answers),
        "mape": metrics.mean_absolute_percentage_error(y, answers),
        "pinball": metrics.mean_pinball_loss(y, answers, alpha=quantile),
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected)


def test_a_target_of_zero_has_no_relative_error():
    y, answers = answered()
    y[:10] = 0.0
    found = Regression().evaluate(y, answers)
    assert found.metrics["mape"] < 1 and found.without_relative_error == 10
    # With many of them, what is left says nothing of the rows.
    y[:100] = 0.0
    assert np.isnan(Regression().evaluate(y, answers).metrics["mape"])


METRICS = ["mae", "rmse", "median_ae", "mape", "pinball"]


@pytest.mark.parametrize("metric", METRICS)
def test_a_version_must_beat_the_mean_and_the_median_of_training(metric):
    y, answers = answered()
    training, _ = answered(2_000)
    gate = Gate(GateSpec(metric=metric, below=1_000))
    for constant in (training.mean(), np.median(training)):
        same = np.full(len(y), constant)
        found = Regression().evaluate(y, same, training=training)
        assert not gate.decide(found.gate_figures()).passed
    shuffled = np.random.default_rng(0).permutation(answers)
    for wrong in (shuffled, answers * np.nan):
        found = Regression().evaluate(y, wrong, training=training)
        assert not gate.decide(found.gate_figures()).passed
    found = Regression().evaluate(y, answers, training=training)
    assert gate.decide(found.gate_figures()).passed


@pytest.mark.parametrize(
    "metric, value, other, passed",
    [
        ("mae", 3.0, 3.1, True),
        ("mae", 3.0, 3.0, True),
        ("mae", 3.1, 3.0, False),
        ("r2", 0.8, 0.7, True),
        ("r2", 0.7, 0.8, False),
    ],
)
def test_the_champion_is_compared_in_the_direction_of_the_metric(
    metric, value, other, passed
):
    limit = {"below": 5.0} if metric == "mae" else {"threshold": 0.5}
    figures = GateFigures(
        100, {metric: value}, {metric: 4.0 if metric == "mae" else 0.0},
        champion="20261116T020000Z", champion_metrics={metric: other},
    )  # fmt: skip
    decision = Gate(GateSpec(metric=metric, **limit)).decide(figures)
    assert decision.passed is passed
    if not passed:
        worse = "is above" if metric == "mae" else "is below"
        assert worse in decision.reason


def test_losses_are_from_zero_to_one_and_single_rows_do_not_decide():
    y, answers = answered()
    y[0] = 1e9
    task = Regression(bound=loss_bound(y))
    losses = task.losses(y, answers)
    assert losses.min() >= 0 and losses[0] == 1.0
    assert task.bound < 100


@pytest.mark.parametrize(
    "values, found",
    [(["a", "b"], "'a'"), ([True, False], "True"), ([1.0, np.inf], "inf in row 1")],
)
def test_what_is_no_number_is_refused(values, found):
    with pytest.raises(FeatureError, match=found):
        encode_target(pd.Series(values, name="y"), kind="regression")


@pytest.mark.parametrize(
    "params, quantile",
    [
        ({}, 0.5),
        ({"loss": "quantile", "quantile": 0.9}, 0.9),
        ({"loss": "quantile", "alpha": 0.1}, 0.1),
        ({"alpha": 0.3}, 0.5),
        ({"quantile": 0.2, "alpha": 1.0}, 0.2),
    ],
)
def test_the_quantile_is_what_the_estimator_is_asked_for(params, quantile):
    assert quantile_of(params) == quantile


@pytest.mark.parametrize("shift, degraded", [(0.0, False), (6.0, True)])
def test_live_errors_are_held_against_those_of_the_held_out_rows(shift, degraded):
    generator = np.random.default_rng(4)
    y = generator.normal(size=(2, 2_000)) * 5
    error = generator.normal(size=(2, 2_000))
    profile = Regression(bound=15.0).bounds(y[0], y[0] + error[0])
    live = Regression().with_loss_of(profile)
    # A row that is off by a million is off by the bound.
    answers = y[1] + error[1] + shift
    answers[0] = 1e6

    (found,) = live.degradations(y[1], answers, profile)

    assert found.degraded == degraded
    assert found.sentence.startswith("live mean absolute error ")
    assert ", clipped at 15, over 2,000 labels" in found.sentence


@pytest.mark.parametrize("rows", [1, 20])
def test_few_held_out_rows_promise_nothing(rows):
    y = np.arange(float(rows))
    profile = Regression(bound=15.0).bounds(y, y + 14)
    live = Regression().with_loss_of(profile)
    assert live.degradations(y, y, profile) == []


def test_what_turned_out_is_the_number_that_was_sent():
    texts = pd.Series([label_text(value) for value in (3.0, -0.1, 1e300, 2**60)])
    assert Regression().truths(texts).tolist() == [3.0, -0.1, 1e300, 2.0**60]
