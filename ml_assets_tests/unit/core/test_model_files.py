"""A pipeline with boosters is files of skops and of the boosters' own formats."""

import sys
from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import StackingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from ml_assets.core.boosters import BOOSTERS, load_booster
from ml_assets.core.model_files import (
    MODEL,
    StoredBooster,
    dump_model,
    load_model,
    without_boosters,
)
from ml_assets.core.trusted import UntrustedError, dump_skops
from ml_assets.ml.boosters import make_booster

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(300, 3))
Y = (X[:, 0] + RANDOM.normal(size=300) > 0).astype(int)


def booster(path: str, **params: Any) -> Any:
    return make_booster(path, {"n_estimators": 5} | params)


def pipeline(estimator: Any) -> Any:
    steps = [("encode", StandardScaler()), ("estimator", estimator)]
    return Pipeline(steps).fit(X, Y)


def answers(model: Any) -> Any:
    name = "predict_proba" if hasattr(model, "predict_proba") else "predict"
    return getattr(model, name)(X).tolist()


@pytest.mark.parametrize("path", BOOSTERS)
def test_a_booster_answers_as_before_once_it_is_loaded(path):
    model = pipeline(booster(path))
    files = dump_model(model)
    library = path.partition(".")[0]
    (name,) = {*files} - {MODEL}
    assert name.startswith(f"booster-0.{library}.")
    loaded = load_model(files.__getitem__)
    assert answers(loaded) == answers(model)
    given = {"random_state": 0}
    assert {k: loaded[-1].get_params()[k] for k in given} == given


def test_the_model_is_left_as_it_was():
    model = pipeline(booster("lightgbm.LGBMClassifier"))
    expected = answers(model)
    stored, _ = without_boosters(model)
    assert isinstance(stored[-1], StoredBooster)
    assert answers(model) == expected


def test_a_model_without_boosters_is_one_file_and_the_same_object():
    model = pipeline(LogisticRegression())
    stored, files = without_boosters(model)
    assert stored is model and files == {}


def test_boosters_inside_other_estimators_are_stored_once_each():
    parts = [
        ("a", booster("lightgbm.LGBMClassifier")),
        ("b", booster("xgboost.XGBClassifier")),
    ]
    model = pipeline(StackingClassifier(parts, cv=2))
    files = dump_model(model)
    # The unfitted ones have parameters alone.
    assert sorted(files) == [
        "booster-0.lightgbm.txt",
        "booster-1.xgboost.json",
        MODEL,
    ]
    loaded = load_model(files.__getitem__)
    assert answers(loaded) == answers(model)
    assert loaded[-1].named_estimators_["a"] is loaded[-1].estimators_[0]


@pytest.mark.parametrize("path", ["lightgbm.LGBMClassifier", "xgboost.XGBClassifier"])
def test_the_models_of_the_libraries_are_text(path):
    files = dump_model(pipeline(booster(path)))
    (name,) = {*files} - {MODEL}
    assert files[name].decode().isprintable() or b"tree" in files[name]


@pytest.mark.parametrize("path", BOOSTERS)
def test_a_damaged_model_is_an_error_that_names_the_estimator(path):
    files = dump_model(pipeline(booster(path)))
    (name,) = {*files} - {MODEL}
    files[name] = b"nothing of it"
    with pytest.raises(UntrustedError, match=f"the model of {path} cannot be built"):
        load_model(files.__getitem__)


def test_no_other_class_is_built_than_the_known_estimators():
    stored = StoredBooster("subprocess.Popen", {"args": ["true"]}, {}, "")
    with pytest.raises(UntrustedError, match="'subprocess.Popen' is none of lightgbm"):
        load_model({MODEL: dump_skops(stored)}.__getitem__)


def test_a_library_that_is_not_installed_is_named_with_its_extra(monkeypatch):
    files = dump_model(pipeline(booster("lightgbm.LGBMClassifier")))
    monkeypatch.setitem(sys.modules, "lightgbm", None)
    expected = r"pip install 'ml-assets\[lightgbm\]'"
    with pytest.raises(UntrustedError, match=expected):
        load_model(files.__getitem__)


def test_the_known_estimators_are_there():
    assert all(load_booster(path).__name__ in path for path in BOOSTERS)
