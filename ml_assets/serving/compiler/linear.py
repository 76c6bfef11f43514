"""Which linear models are compiled, and what comes after their sums."""

from typing import Any

from sklearn.linear_model import (
    ElasticNet,
    ElasticNetCV,
    GammaRegressor,
    HuberRegressor,
    Lasso,
    LassoCV,
    LinearRegression,
    LogisticRegression,
    LogisticRegressionCV,
    Perceptron,
    PoissonRegressor,
    QuantileRegressor,
    Ridge,
    RidgeClassifier,
    RidgeClassifierCV,
    RidgeCV,
    SGDClassifier,
    SGDRegressor,
)
from sklearn.svm import LinearSVC

from ml_assets.serving.runtime.program import LinkName

_LOGISTIC = (LogisticRegression, LogisticRegressionCV)
_VALUES = (
    *(LinearRegression, Ridge, RidgeCV, Lasso, LassoCV, ElasticNet, ElasticNetCV),
    *(HuberRegressor, QuantileRegressor, SGDRegressor),
)
_DECIDING = (
    *(*_LOGISTIC, LinearSVC, SGDClassifier, Perceptron),
    *(RidgeClassifier, RidgeClassifierCV),
)
_LOGARITHMIC = (PoissonRegressor, GammaRegressor)


def linear_link(estimator: Any, classes: int) -> LinkName | None:
    """What a linear model of so many classes, 0 for a regression, makes of its sums.

    None for an estimator that is no linear model, or one that is not compiled.
    """
    kind = type(estimator)
    if kind in _LOGISTIC:
        return "softmax" if classes > 2 else "logit"
    if kind is SGDClassifier and estimator.loss == "log_loss":
        return "shares" if classes > 2 else "logit"
    if kind in _LOGARITHMIC:
        return "exp"
    return "identity" if kind in _VALUES else None


def decides_linearly(estimator: Any) -> bool:
    """Whether a classifier's ``decision_function`` is its linear sums."""
    return type(estimator) in _DECIDING
