"""Which reader turns a fitted ensemble of trees into one form.

A library's estimator is known by its module, so that no library is imported.
"""

from typing import Any

from sklearn.ensemble import (
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
)

from ml_assets.serving.compiler.bagging import is_bag_of_trees, read_bag_of_trees
from ml_assets.serving.compiler.catboost import read_catboost
from ml_assets.serving.compiler.encoding import Encoding
from ml_assets.serving.compiler.gradient_boosting import (
    GRADIENT_BOOSTING,
    read_gradient_boosting,
)
from ml_assets.serving.compiler.lightgbm import read_lightgbm
from ml_assets.serving.compiler.trees import Ensemble, read_ensemble
from ml_assets.serving.compiler.xgboost import read_xgboost

_DECIDING = (GradientBoostingClassifier, HistGradientBoostingClassifier)


def decides_by_sums(estimator: Any) -> bool:
    """Whether a classifier's ``decision_function`` is the sums of its trees."""
    return type(estimator) in _DECIDING or _library(estimator) == "lightgbm"


def read_model(
    estimator: Any, encoding: Encoding, columns: list[int]
) -> tuple[Ensemble, Encoding]:
    """Read a fitted ensemble of any library.

    The encoding that comes back is the one that the trees' feature numbers refer to.

    Parameters
    ----------
    columns : list of int
        Which of the estimator's classes is each label; empty for a regression.

    Raises
    ------
    NotCompiled
        If the estimator is of another class, or holds what is not compiled.
    """
    library = _library(estimator)
    if library == "xgboost":
        return read_xgboost(estimator, encoding, columns), encoding
    if library == "catboost":
        return read_catboost(estimator, columns), encoding
    if library == "lightgbm":
        return read_lightgbm(estimator, encoding, columns)
    if type(estimator) in GRADIENT_BOOSTING:
        return read_gradient_boosting(estimator, encoding, columns), encoding
    if is_bag_of_trees(estimator):
        return read_bag_of_trees(estimator, encoding, columns)
    return read_ensemble(estimator, encoding, columns)


def _library(estimator: Any) -> str:
    return type(estimator).__module__.partition(".")[0]
