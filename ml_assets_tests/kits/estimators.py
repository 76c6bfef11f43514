"""Small estimators of each library, for tests that fit many of them."""

from typing import Any

import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import (
    BaggingClassifier,
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
    StackingClassifier,
    VotingClassifier,
)

lightgbm = pytest.importorskip("lightgbm")
xgboost = pytest.importorskip("xgboost")
catboost = pytest.importorskip("catboost")


def xgb(kind: str, **params: Any) -> Any:
    options = {"n_estimators": 30, "random_state": 0, "n_jobs": 1} | params
    return getattr(xgboost, f"XGB{kind}")(**options)


def cat(kind: str, **params: Any) -> Any:
    options = {"n_estimators": 30, "random_state": 0, "thread_count": 1}
    options |= {"silent": True, "allow_writing_files": False}
    return getattr(catboost, f"CatBoost{kind}")(**options | params)


def lgbm(kind: str, **params: Any) -> Any:
    options = {"n_estimators": 30, "random_state": 0, "n_jobs": 1, "verbosity": -1}
    return getattr(lightgbm, f"LGBM{kind}")(**options | params)


def boosting(kind: str, **params: Any) -> Any:
    kinds = {
        "Classifier": GradientBoostingClassifier,
        "Regressor": GradientBoostingRegressor,
    }
    return kinds[kind](n_estimators=30, random_state=0, **params)


def forest(**params: Any) -> Any:
    options = {"n_estimators": 8, "max_leaf_nodes": 40, "random_state": 0}
    return RandomForestClassifier(**options | params)


def extra() -> Any:
    return ExtraTreesClassifier(n_estimators=6, max_depth=5, random_state=1)


def forest_of_values() -> Any:
    return RandomForestRegressor(n_estimators=8, max_leaf_nodes=40, random_state=0)


def hist(**params: Any) -> Any:
    return HistGradientBoostingClassifier(max_iter=12, random_state=0, **params)


def hist_of_values() -> Any:
    return HistGradientBoostingRegressor(max_iter=12, random_state=0)


def voting(*parts: Any, **params: Any) -> Any:
    return VotingClassifier([*zip("abcd", parts)], voting="soft", **params)


def stack(*parts: Any, **params: Any) -> Any:
    return StackingClassifier([*zip("abcd", parts)], cv=3, **params)


def bag(part: Any, **params: Any) -> Any:
    return BaggingClassifier(part, n_estimators=5, random_state=0, **params)


def calibrated(part: Any, **params: Any) -> Any:
    return CalibratedClassifierCV(part, cv=3, **params)
