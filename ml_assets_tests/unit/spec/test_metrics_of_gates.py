"""What a gate may ask for, of which task, and in which direction."""

from typing import Any

import pytest
from pydantic import ValidationError

from ml_assets.components import TabularRegressor
from ml_assets.spec.gate import GateSpec
from ml_assets.spec.model import ModelSpec

MODEL = {"name": "m", "source": {"type": "synthetic"}, "target": "y"}

OWN = "my_project.metrics.profit"


@pytest.mark.parametrize(
    "gate, message",
    [
        ({"metric": "mae"}, "lower is better of mae: give what it must be below"),
        ({"metric": "mae", "threshold": 0.5}, "lower is better of mae"),
        ({"metric": "accuracy", "below": 0.5}, "higher is better of accuracy"),
        ({"metrics": {"mae": -1}}, "must be above 0, found -1"),
        ({"metrics": {"mae": 1}, "below": 3}, "instead of metric and its limit"),
        ({"metric": "mae", "below": -1}, "must be above 0, found -1"),
        ({"above": 3}, "is of a metric of the project's own, not accuracy"),
        ({"metric": OWN}, "expected one limit of my_project.metrics.profit.*none"),
        ({"metric": OWN, "above": 1, "below": 2}, "expected one limit.*found both"),
        ({"metric": OWN, "threshold": 0.5}, "expected one limit.*found threshold"),
        ({"metric": OWN, "above": 1, "confidence": 0.9}, "the limit of accuracy"),
    ],
)
def test_a_limit_in_the_wrong_direction_is_refused(gate: Any, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        GateSpec.model_validate(gate)


@pytest.mark.parametrize(
    "more, message",
    [
        ({}, "a regressor names the metric that decides and its limit"),
        ({"gate": {"metric": "f1"}}, "f1 is no metric of regression"),
        (
            {"gate": {"metric": "mae", "below": 3, "slices": {"a": 0.5}}},
            "a regressor does not have",
        ),
        ({"gate": {"metric": "r2"}, "positive": 1}, "a regressor has none"),
        (
            {
                "gate": {"metric": "r2"},
                "estimator": {"type": "sklearn.linear_model.LogisticRegression"},
            },
            "is not the import path of a scikit-learn regressor",
        ),
        (
            {
                "gate": {"metric": "r2"},
                "search": {"params": {"max_iter": [5]}, "metric": "roc_auc"},
            },
            "roc_auc is no scorer of regression",
        ),
    ],
)
def test_a_regressor_has_keys_of_its_own(more: Any, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        TabularRegressor.model_validate({**MODEL, **more})


def test_a_regressor_is_kept_in_what_is_recorded_of_it() -> None:
    given = {**MODEL, "gate": {"metric": "r2", "threshold": 0.4}}
    spec = TabularRegressor.model_validate(given)
    assert spec.estimator.type.endswith("HistGradientBoostingRegressor")
    again = ModelSpec.model_validate(spec.model_dump(mode="json", exclude_unset=True))
    assert again.task == "regression" and again.estimator == spec.estimator


def test_classes_are_three_or_more_that_differ() -> None:
    assert ModelSpec.model_validate({**MODEL, "classes": ["a", "b", "c"]}).classes
    for wrong in (["a", "b"], ["a", "b", "a"]):
        with pytest.raises(ValidationError, match="expected three or more different"):
            ModelSpec.model_validate({**MODEL, "classes": wrong})


@pytest.mark.parametrize("key, lower", [("above", False), ("below", True)])
def test_the_limit_of_an_own_metric_says_what_is_better(key: str, lower: bool) -> None:
    gate = GateSpec.model_validate({"metric": OWN, key: -100})
    assert gate.demands == {"profit": -100}
    assert gate.lower_is_better("profit") is lower
    assert not gate.lower_is_better("accuracy")
