"""Scikit-learn classifiers by import path, as the YAML names them."""

import importlib
import inspect
from typing import Any

from sklearn.base import ClassifierMixin

from ml_assets.model import EstimatorSpec


class EstimatorError(ValueError):
    """An estimator that does not exist, or cannot be used."""


def make_estimator(spec: EstimatorSpec) -> Any:
    """The unfitted classifier that `spec` describes.

    ``random_state`` is 0 where the classifier has one and `spec` does not set it, so
    that training twice gives the same model.

    Raises
    ------
    EstimatorError
        If the path leads to no scikit-learn classifier, a parameter is unknown, or the
        classifier gives no probabilities.

    Examples
    --------
    >>> make_estimator(EstimatorSpec(type="sklearn.tree.DecisionTreeClassifier"))
    DecisionTreeClassifier(random_state=0)
    """
    kind = _find(spec.type)
    known = inspect.signature(kind).parameters
    unknown = [name for name in spec.params if name not in known]
    if unknown:
        raise EstimatorError(
            f"{spec.type} has no parameter '{unknown[0]}'; it has {', '.join(known)}"
        )
    seed = {"random_state": 0} if "random_state" in known else {}
    try:
        estimator = kind(**{**seed, **spec.params})
    except TypeError as error:
        raise EstimatorError(f"{spec.type}: {error}") from error
    if not hasattr(estimator, "predict_proba"):
        raise EstimatorError(
            f"{spec.type} gives no probabilities with these parameters; choose a"
            " classifier that has predict_proba"
        )
    return estimator


def _find(path: str) -> Any:
    module, _, name = path.rpartition(".")
    try:
        kind = getattr(importlib.import_module(module), name, None)
    except ImportError as error:
        raise EstimatorError(f"there is no module {module}: {error}") from error
    if not (inspect.isclass(kind) and issubclass(kind, ClassifierMixin)):
        raise EstimatorError(
            f"{path} is not a scikit-learn classifier; one such is"
            " sklearn.linear_model.LogisticRegression"
        )
    return kind
