"""Estimators by import path, composed as the YAML nests them."""

import importlib
import inspect
from collections.abc import Mapping
from typing import Any

from sklearn.base import is_classifier, is_regressor

from ml_assets.core.boosters import BOOSTERS, BoosterError
from ml_assets.core.trusted import TRUSTED
from ml_assets.core.user_code import UserCodeError, load_class
from ml_assets.ml.boosters import make_booster
from ml_assets.spec.estimator import EstimatorSpec
from ml_assets.spec.metrics import Kind
from ml_assets.spec.user_code import LIBRARY, TYPE_KEYS

# Parameters that are lists of (name, estimator).
NAMED_LISTS = ("estimators", "steps", "transformer_list")


class EstimatorError(ValueError):
    """An estimator that does not exist, or cannot be used."""


def make_estimator(spec: EstimatorSpec, kind: Kind = "classification") -> Any:
    """The unfitted classifier or regressor that `spec` describes.

    A parameter may be an estimator itself, written as `spec` is: a mapping of ``type``
    and ``params``; lists of named estimators are lists of pairs, or mappings of name to
    estimator. ``random_state`` is 0 where an estimator has one and `spec` does not set
    it, so that training twice gives the same model.

    Raises
    ------
    EstimatorError
        With its location in the YAML: if a path leads to no estimator of scikit-learn
        or `~ml_assets.core.boosters.BOOSTERS` and to no class of a trusted package, or
        to one that no server would load, or whose library is not installed; if a
        parameter is unknown or has no such value; if it is not of that kind; or if a
        classifier gives no probabilities.

    Examples
    --------
    >>> make_estimator(EstimatorSpec(type="sklearn.tree.DecisionTreeClassifier"))
    DecisionTreeClassifier(random_state=0)
    >>> sub = {"type": "sklearn.svm.LinearSVC", "params": {"C": 0.5}}
    >>> make_estimator(
    ...     EstimatorSpec(
    ...         type="sklearn.calibration.CalibratedClassifierCV",
    ...         params={"estimator": sub},
    ...     )
    ... )
    CalibratedClassifierCV(estimator=LinearSVC(C=0.5, random_state=0))
    """
    estimator = _build(spec.type, spec.params, "estimator")
    if kind == "regression":
        if not is_regressor(estimator):
            raise EstimatorError(
                f"{spec.type} is not a scikit-learn regressor; one such is"
                " sklearn.linear_model.Ridge"
            )
        return estimator
    if not is_classifier(estimator):
        raise EstimatorError(
            f"{spec.type} is not a scikit-learn classifier; one such is"
            " sklearn.linear_model.LogisticRegression"
        )
    fault = _without_probabilities(estimator)
    if fault is not None:
        raise EstimatorError(
            f"{spec.type} gives no probabilities with these parameters{fault}; choose a"
            " classifier that has predict_proba, or give it as the estimator of"
            " sklearn.calibration.CalibratedClassifierCV"
        )
    return estimator


def make_value(value: Any, location: str) -> Any:
    """A parameter's value as scikit-learn takes it: mappings with a type are built."""
    if isinstance(value, Mapping):
        if not any(isinstance(value.get(name), str) for name in TYPE_KEYS):
            return value
        return _nested(value, location)
    if isinstance(value, list):
        return [make_value(item, f"{location}[{i}]") for i, item in enumerate(value)]
    return value


def _nested(value: Mapping[str, Any], location: str) -> Any:
    surplus = sorted(str(name) for name in value if name not in (*TYPE_KEYS, "params"))
    named = [name for name in TYPE_KEYS if name in value]
    params = value.get("params") or {}
    if surplus or len(named) != 1 or not isinstance(params, Mapping):
        raise EstimatorError(
            f"{location}: an estimator is a mapping of type and params, such as"
            f" {{type: sklearn.svm.LinearSVC, params: {{C: 1}}}}, found {dict(value)}"
        )
    return _build(value[named[0]], params, location)


def _build(path: str, params: Mapping[str, Any], location: str) -> Any:
    if path in BOOSTERS:
        try:
            return make_booster(path, params)
        except BoosterError as error:
            raise EstimatorError(f"{location}: {error}") from error
    kind = _find(path, location)
    known = inspect.signature(kind).parameters
    unknown = [name for name in params if name not in known]
    if unknown:
        raise EstimatorError(
            f"{location}: {path} has no parameter '{unknown[0]}'; it has"
            f" {', '.join(known)}"
        )
    inside = f"{location}.params"
    values: dict[str, Any] = {"random_state": 0} if "random_state" in known else {}
    for name, value in params.items():
        here = f"{inside}.{name}"
        is_list = name in NAMED_LISTS
        values[name] = _pairs(value, here) if is_list else make_value(value, here)
    try:
        estimator = kind(**values)
        # A class of the project's own need not declare what its parameters may be.
        if hasattr(kind, "_parameter_constraints"):
            estimator._validate_params()
    except (TypeError, ValueError) as error:
        # Raised now, with the message that fitting would raise.
        raise EstimatorError(f"{location}: {path} cannot be fitted: {error}") from error
    return estimator


def _pairs(value: Any, location: str) -> list[tuple[str, Any]]:
    """Named estimators, from a mapping or from a list of pairs."""
    items = list(value.items()) if isinstance(value, Mapping) else value
    pairs: list[tuple[str, Any]] = []
    for item in items if isinstance(items, list) else [None]:
        if not (isinstance(item, list | tuple) and len(item) == 2):
            raise EstimatorError(
                f"{location}: expected pairs such as [[name, {{type: ...}}], ...] or a"
                f" mapping of name to estimator, found {value!r}"
            )
        name = str(item[0])
        if "__" in name or name in dict(pairs):
            raise EstimatorError(
                f"{location}: '{name}' must be there once and be without '__'"
            )
        part = make_value(item[1], f"{location}.{name}")
        if not (hasattr(part, "fit") or part in ("drop", "passthrough")):
            raise EstimatorError(
                f"{location}.{name}: expected an estimator such as"
                f" {{type: sklearn.svm.LinearSVC}}, found {part!r}"
            )
        pairs.append((name, part))
    return pairs


def _find(path: str, location: str) -> Any:
    module, _, name = path.rpartition(".")
    if not path.startswith(LIBRARY):
        try:
            return load_class(path)
        except UserCodeError as error:
            raise EstimatorError(
                f"{location}: must be the import path of a class of scikit-learn such"
                " as sklearn.linear_model.LogisticRegression, one of"
                f" {', '.join(BOOSTERS)}, or a class of a trusted package: {error}"
            ) from error
    try:
        kind = getattr(importlib.import_module(module), name, None)
    except ImportError as error:
        raise EstimatorError(
            f"{location}: there is no module {module}: {error}"
        ) from error
    # What no server would load need not be fitted.
    if not inspect.isclass(kind) or (
        f"{kind.__module__}.{kind.__name__}" not in TRUSTED["ObjectNode"]
    ):
        raise EstimatorError(
            f"{location}: {path} is not a scikit-learn estimator that model servers"
            " load, nor a part of one; one such is"
            " sklearn.linear_model.LogisticRegression"
        )
    return kind


def _without_probabilities(estimator: Any) -> str | None:
    """Why there would be none, to append to an error; None where there are."""
    from sklearn.ensemble import StackingClassifier, VotingClassifier

    if isinstance(estimator, VotingClassifier):
        if estimator.voting != "soft":
            return ": voting is 'hard', set it to soft"
        for name, part in estimator.estimators:
            if part != "drop" and _without_probabilities(part) is not None:
                return f": '{name}', a {type(part).__name__}, gives none"
        return None
    # Its default, a logistic regression, is made at fitting.
    if isinstance(estimator, StackingClassifier) and estimator.final_estimator is None:
        return None
    return None if hasattr(estimator, "predict_proba") else ""
