"""Thresholds of trained versions: named, or tuned on folds of the training rows."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import make_classification

from ml_assets.ml.cleaning import FeatureError
from ml_assets.ml.estimators import EstimatorError
from ml_assets.ml.split import SplitError
from ml_assets.ml.tasks import Binary
from ml_assets.ml.training import Trained, train
from ml_assets.spec.model import ModelSpec

TUNED = {"threshold": "tuned", "costs": {"false_positive": 5, "false_negative": 400}}


def transactions(rows: int = 20_000) -> pd.DataFrame:
    """Of which one in two hundred is a fraud."""
    x, y = make_classification(
        rows, 8, n_informative=5, weights=[0.995], flip_y=0.001, class_sep=1.5,
        random_state=0,
    )  # fmt: skip
    random = np.random.default_rng(0)
    table = pd.DataFrame(x, columns=[f"v{number}" for number in range(x.shape[1])])
    return table.assign(
        claim_value=random.lognormal(5.5, 1, rows).round(2),
        household=random.integers(0, rows // 3, rows),
        day=np.arange(rows),
        fraud=np.where(y == 1, "yes", "no"),
    )


def trained(table: pd.DataFrame, decision: Any, **more: Any) -> Trained:
    given = {
        "name": "fraud",
        "source": {"type": "synthetic"},
        "target": "fraud",
        "estimator": {"type": "sklearn.linear_model.LogisticRegression"},
        "features": {"drop": ["day", "household"]},
        "decision": decision,
    }
    test = np.arange(len(table)) % 5 == 0
    return train(table, ModelSpec.model_validate({**given, **more}), test)


def binary(found: Trained) -> Binary:
    assert isinstance(found.task, Binary)
    return found.task


def cost(found: Trained, table: pd.DataFrame, threshold: float) -> float:
    task = Binary("no", "yes", threshold, binary(found).costs)
    task = task.with_rows(table[found.test])
    answers = task.answers(found.pipeline, found.x_test)
    return float(task.evaluate(found.y_test, answers).metrics["expected_cost"])


@pytest.mark.parametrize(
    "decision",
    [
        TUNED,
        {
            "threshold": "tuned",
            "costs": {"false_positive": 5, "false_negative": 0},
            "amount": "claim_value",
            "amount_bound": 5_000,
        },
    ],
    ids=["constant costs", "amounts"],
)
def test_the_tuned_threshold_of_a_rare_class_costs_less_than_one_half(
    decision: Any,
) -> None:
    table = transactions()
    found = trained(table, decision)
    assert 0.01 < binary(found).threshold < 0.2
    # At 1 every row is decided to be negative.
    tuned, half, none = (
        cost(found, table, t) for t in (binary(found).threshold, 0.5, 1)
    )
    assert tuned < half < none
    (note,) = found.notes
    assert "tuned on folds of 16,000 training rows, where a row costs" in note


def test_no_test_row_has_a_part_in_the_tuned_threshold() -> None:
    table = transactions(4_000)
    first = binary(trained(table, TUNED)).threshold
    assert binary(trained(table, TUNED)).threshold == first
    test = np.arange(len(table)) % 5 == 0
    shuffled = table.copy()
    shuffled.loc[test, "fraud"] = table.loc[test, "fraud"].to_numpy()[::-1]
    shuffled.loc[test, "claim_value"] = 1e6
    assert binary(trained(shuffled, TUNED)).threshold == first


def test_a_threshold_is_the_yaml_s_and_not_that_of_the_version_before() -> None:
    table = transactions(1_000)
    assert binary(trained(table, {"threshold": 0.3})).threshold == 0.3
    assert binary(trained(table, None)).threshold == 0.5
    spec = {"name": "fraud", "source": {"type": "synthetic"}, "target": "fraud"}
    pinned = Binary("no", "yes", 0.9)
    again = train(table, ModelSpec.model_validate(spec), pinned=pinned)
    assert binary(again).threshold == 0.5


@pytest.mark.parametrize(
    "split",
    [{"type": "time", "column": "day"}, {"group": "household"}],
    ids=["time", "group"],
)
def test_folds_are_divided_as_the_test_rows_are(split: Any) -> None:
    features = {"drop": ["household"] if "column" in split else ["day"]}
    found = trained(transactions(4_000), TUNED, split=split, features=features)
    (note,) = found.notes
    # Before the first rolling origin nothing is scored.
    rows = "2,667" if "column" in split else "3,200"
    assert f"folds of {rows} training rows" in note


def test_too_few_rows_of_a_class_are_an_error_that_counts_them() -> None:
    table = transactions(1_000)
    test = np.arange(len(table)) % 5 == 0
    is_fraud = (table["fraud"] == "yes") & ~test
    few = table.assign(fraud=table["fraud"].where(~is_fraud, "no"))
    few.loc[1, "fraud"] = "yes"
    with pytest.raises(EstimatorError, match="of which 1 are 'yes': .*decision.folds"):
        trained(few, TUNED)


def test_too_few_moments_name_the_folds_of_the_decision() -> None:
    table = transactions(1_000).assign(day=lambda t: t.index % 3)
    split = {"type": "time", "column": "day"}
    with pytest.raises(SplitError, match="decision.folds: 5 rolling origins"):
        trained(table, TUNED, split=split, features={"drop": ["household"]})


def test_an_amount_that_the_data_lacks_is_refused() -> None:
    decision = {**TUNED, "amount": "value", "amount_bound": 9}
    with pytest.raises(FeatureError, match="decision.amount is 'value', which is none"):
        trained(transactions(1_000), decision)


def test_earlier_origins_cost_what_the_version_s_threshold_costs() -> None:
    decision = {**TUNED, "amount": "claim_value", "amount_bound": 5_000}
    split = {"type": "time", "column": "day", "folds": 3}
    found = trained(transactions(4_000), decision, split=split, features={"drop": []})
    costs = found.folds["expected_cost"]
    assert len(costs["each"]) == 3
    assert all(0 <= value < 400 for value in costs["each"])
