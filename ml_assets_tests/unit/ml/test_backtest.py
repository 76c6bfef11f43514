"""Figures over rolling origins: each fitted on the past, the last of the test rows."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from ml_assets.ml.backtest import backtest_notes
from ml_assets.ml.estimators import EstimatorError
from ml_assets.ml.split import SplitError
from ml_assets.ml.training import Trained, train
from ml_assets.spec.model import ModelSpec


def table(n: int = 1_000, seed: int = 0) -> pd.DataFrame:
    """What `x` says of the target turns round in the second quarter of the time."""
    random = np.random.default_rng(seed)
    day, x = np.arange(n), random.normal(size=n)
    sign = np.where((day >= n // 5) & (day < 2 * n // 5), -1, 1)
    return pd.DataFrame({"day": day, "x": x, "late": (sign * x > 0).astype(int)})


def trained(frame: pd.DataFrame, split: dict[str, Any], **more: Any) -> Trained:
    given = {
        "name": "m",
        "source": {"type": "synthetic"},
        "target": "late",
        "estimator": {"type": "sklearn.linear_model.LogisticRegression"},
        "split": split,
    }
    return train(frame, ModelSpec.model_validate(given | more))


TIME = {"type": "time", "column": "day"}


@pytest.mark.parametrize("split", [TIME, {"type": "order"}])
def test_each_origin_is_scored_by_what_was_known_before_it(
    split: dict[str, Any],
) -> None:
    found = trained(table(), split | {"folds": 4})

    accuracy = found.folds["accuracy"]
    expected = found.task.evaluate(
        found.y_test, found.task.answers(found.pipeline, found.x_test)
    )
    assert len(accuracy["each"]) == 4
    # The first 200 rows say nothing of the turned ones that follow.
    assert accuracy["each"][0] < 0.1
    assert accuracy["each"][-1] == expected.metrics["accuracy"]
    assert accuracy["mean"] == pytest.approx(np.mean(accuracy["each"]))
    assert accuracy["spread"] == pytest.approx(np.std(accuracy["each"]))
    assert "accuracy over 4 rolling origins" in found.notes[-1]


def test_the_order_of_rows_is_that_of_the_time() -> None:
    frame = table()
    shuffled = frame.sample(frac=1, random_state=0, ignore_index=True)

    first, second = (trained(f, TIME | {"folds": 3}) for f in (frame, shuffled))

    np.testing.assert_allclose(
        first.folds["accuracy"]["each"], second.folds["accuracy"]["each"]
    )


def test_without_folds_nothing_is_fitted_again() -> None:
    assert trained(table(), TIME).folds == {}


def test_an_origin_before_which_there_is_one_class_has_no_figures() -> None:
    frame = table()
    frame.loc[:300, "late"] = 0

    found = trained(frame, TIME | {"folds": 4})

    each = found.folds["accuracy"]["each"]
    assert np.isnan(each[0]) and not np.isnan(each[1:]).any()
    assert found.folds["accuracy"]["mean"] == pytest.approx(np.mean(each[1:]))
    assert "over 3 rolling origins" in backtest_notes(found.folds, ["accuracy"])[0]


def test_a_regressor_has_the_figures_of_its_task() -> None:
    frame = table()
    frame["late"] = 2 * frame["x"] + np.random.default_rng(1).normal(size=len(frame))

    found = trained(
        frame,
        TIME | {"folds": 3},
        task="regression",
        estimator={"type": "sklearn.linear_model.LinearRegression"},
        gate={"metric": "mae", "below": 2},
    )

    assert all(0.6 < value < 1.0 for value in found.folds["mae"]["each"])
    assert "mae over 3 rolling origins" in found.notes[-1]


def test_too_few_moments_are_refused_with_the_key() -> None:
    frame = table(60).assign(day=[0] * 30 + [1] * 30)

    with pytest.raises(SplitError, match="split.folds: 4 rolling origins need more"):
        trained(frame, TIME | {"folds": 5})


def test_an_origin_that_cannot_be_fitted_is_named() -> None:
    with pytest.raises(EstimatorError, match="the 4 rows before origin 1 of 10"):
        trained(
            table(50),
            {"type": "order", "folds": 10},
            estimator={
                "type": "sklearn.calibration.CalibratedClassifierCV",
                "params": {"cv": 4},
            },
        )
