"""Estimators of boosting libraries, made from a YAML and trained."""

import sys
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ml_assets.core.boosters import BOOSTERS
from ml_assets.ml.boosters import changed_params
from ml_assets.ml.estimators import EstimatorError, make_estimator
from ml_assets.ml.training import train
from ml_assets.spec.estimator import EstimatorSpec
from ml_assets.spec.model import ModelSpec

CLASSIFIERS = [path for path, kind in BOOSTERS.items() if kind == "classification"]


def made(path: str, **params: Any) -> Any:
    return make_estimator(EstimatorSpec(type=path, params=params), BOOSTERS[path])


def table(count: int = 400) -> pd.DataFrame:
    random = np.random.default_rng(0)
    frame = pd.DataFrame({"days": random.normal(size=count)})
    frame["plan"] = pd.Series(random.choice(["big", "small"], count), dtype="str")
    frame["late"] = (frame.days + (frame.plan == "big") > 0.5).astype(int)
    return frame


def model(path: str, **options: Any) -> ModelSpec:
    estimator = {"type": path, "params": options.pop("params", {"n_estimators": 5})}
    source = {"type": "synthetic"}
    given = {"name": "m", "source": source, "target": "late", "estimator": estimator}
    return ModelSpec.model_validate(given | options)


@pytest.mark.parametrize("path", BOOSTERS)
def test_the_seed_is_fixed_and_one_thread_is_used(path):
    params = made(path).get_params()
    assert params["random_state"] == 0
    assert params.get("n_jobs", params.get("thread_count")) == 1


@pytest.mark.parametrize(
    "path, name, replaced",
    [
        ("lightgbm.LGBMClassifier", "num_threads", "n_jobs"),
        ("lightgbm.LGBMClassifier", "seed", "random_state"),
        ("lightgbm.LGBMClassifier", "force_col_wise", "force_row_wise"),
        ("catboost.CatBoostClassifier", "random_seed", "random_state"),
    ],
)
def test_another_name_of_a_parameter_takes_the_place_of_its_default(
    path, name, replaced
):
    params = made(path, **{name: 2}).get_params()
    assert params[name] == 2 and params.get(replaced) is None


@pytest.mark.parametrize("path", CLASSIFIERS)
def test_training_twice_gives_the_same_answers_and_prints_nothing(path, capfd):
    first, second = (train(table(), model(path)) for _ in range(2))
    given = first.x_test
    found, again = (item.pipeline.predict_proba(given) for item in (first, second))
    assert found.tolist() == again.tolist()
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize("path", CLASSIFIERS)
def test_categories_are_codes_as_for_trees(path):
    encode = train(table(), model(path)).pipeline.named_steps["encode"]
    assert type(encode.named_transformers_["categories"]).__name__ == "OrdinalEncoder"


@pytest.mark.parametrize(
    "path, params, message",
    [
        ("lightgbm.LGBMClassifier", {"n_leaves": 5}, "has no parameter 'n_leaves'"),
        ("xgboost.XGBRegressor", {"depth": 5}, "has no parameter 'depth'"),
        ("xgboost.XGBRegressor", {"self": 5}, "has no parameter 'self'"),
        (
            "catboost.CatBoostClassifier",
            {"verbose": False, "silent": True},
            "cannot be",
        ),
    ],
)
def test_a_parameter_that_the_library_does_not_take_is_named(path, params, message):
    with pytest.raises(EstimatorError, match=message):
        made(path, **params)


@pytest.mark.parametrize("path", CLASSIFIERS)
def test_a_value_that_the_library_refuses_is_an_error_of_the_estimator(path):
    with pytest.raises(EstimatorError, match=f"{path} cannot be fitted"):
        train(table(), model(path, params={"max_depth": "deep"}))


def test_a_library_that_is_not_installed_is_named_with_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "xgboost", None)
    expected = r"^estimator: xgboost.XGBClassifier needs .*'ml-assets\[xgboost\]'"
    with pytest.raises(EstimatorError, match=expected):
        made("xgboost.XGBClassifier")


@pytest.mark.parametrize(
    "path, name",
    [("catboost.CatBoostClassifier", "depth"), ("lightgbm.LGBMClassifier", "max_bin")],
)
def test_a_search_varies_what_the_estimator_does_not_list(path, name):
    search = {"params": {name: [4, 6]}, "iterations": 2, "folds": 2}
    found = train(table(), model(path, search=search))
    assert {item.params[name] for item in found.candidates} == {4, 6}


def test_a_version_lists_what_differs_from_the_defaults():
    assert changed_params(made("xgboost.XGBClassifier", max_depth=3)) == {
        "enable_categorical": False,
        "max_depth": 3,
        "n_jobs": 1,
        "random_state": 0,
    }
