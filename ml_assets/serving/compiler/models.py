"""Which reader turns a fitted ensemble of trees into one form.

A library's estimator is known by its module, so that no library is imported.
"""

from typing import Any

from ml_assets.serving.compiler.catboost import read_catboost
from ml_assets.serving.compiler.encoding import Encoding
from ml_assets.serving.compiler.gradient_boosting import (
    GRADIENT_BOOSTING,
    read_gradient_boosting,
)
from ml_assets.serving.compiler.lightgbm import read_lightgbm
from ml_assets.serving.compiler.trees import Ensemble, read_ensemble
from ml_assets.serving.compiler.xgboost import read_xgboost


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
    library = type(estimator).__module__.partition(".")[0]
    if library == "xgboost":
        return read_xgboost(estimator, encoding, columns), encoding
    if library == "catboost":
        return read_catboost(estimator, columns), encoding
    if library == "lightgbm":
        return read_lightgbm(estimator, encoding, columns)
    if type(estimator) in GRADIENT_BOOSTING:
        return read_gradient_boosting(estimator, encoding, columns), encoding
    return read_ensemble(estimator, encoding, columns)
