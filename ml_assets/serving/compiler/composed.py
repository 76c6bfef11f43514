"""Estimators made of others, compiled where all of their parts are."""

from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import (
    BaggingClassifier,
    BaggingRegressor,
    StackingClassifier,
    StackingRegressor,
    VotingClassifier,
    VotingRegressor,
)

from ml_assets.serving.compiler.bagging import is_bag_of_trees
from ml_assets.serving.compiler.encoding import (
    Encoding,
    Feature,
    NotCompiled,
    NumericFeature,
)
from ml_assets.serving.compiler.programs import (
    Compiled,
    Cuts,
    Tables,
    compile_alone,
    compile_decision,
    program_of,
)
from ml_assets.serving.runtime.program import Kernel, NumericSource

_VOTING = (VotingClassifier, VotingRegressor)
_BAGGING = (BaggingClassifier, BaggingRegressor)
_STACKING = (StackingClassifier, StackingRegressor)
# XGBoost's answers are of float32.
_SINGLE = ("XGBClassifier", "XGBRegressor")


def compile_estimator(
    estimator: Any, encoding: Encoding, columns: list[int]
) -> Compiled:
    """Compile a fitted estimator of any kind, with what it is made of.

    `columns` is as in `read_model`.

    Raises
    ------
    NotCompiled
        If it, or one of its parts, is of another class or holds what is not compiled.
    """
    kind = type(estimator)
    if kind in _VOTING:
        return _voting(estimator, encoding, columns)
    if kind in _BAGGING and not is_bag_of_trees(estimator):
        return _bagging(estimator, encoding, columns)
    if kind is CalibratedClassifierCV:
        return _calibrated(estimator, encoding, columns)
    if kind in _STACKING:
        return _stack(estimator, encoding, columns)
    return compile_alone(estimator, encoding, columns)


def _part(
    estimator: Any, encoding: Encoding, columns: list[int], method: str = ""
) -> Compiled:
    """Compile a part, or its ``decision_function`` where that is the method."""
    name = type(estimator).__name__
    if columns and len(estimator.classes_) != len(columns):
        raise NotCompiled(f"the part {name} knows other classes than the whole")
    try:
        if method == "decision_function":
            return compile_decision(estimator, encoding, columns)
        return compile_estimator(estimator, encoding, columns)
    except NotCompiled as error:
        raise NotCompiled(f"the part {name}: {error}") from error


def _natural(columns: list[int]) -> list[int]:
    """The classes in the order of the estimator."""
    return [*range(len(columns))]


def _columns_of_parts(columns: list[int]) -> list[int]:
    """Of two classes the one that is asked for, of several all in their order."""
    return columns if len(columns) == 2 else _natural(columns)


def _voting(estimator: Any, encoding: Encoding, columns: list[int]) -> Compiled:
    if columns and estimator.voting != "soft":
        raise NotCompiled("voting is 'hard', which gives no probabilities")
    parts = [
        _part(part, encoding, _columns_of_parts(columns))
        for part in estimator.estimators_
    ]
    weights = estimator._weights_not_none
    is_single = all(type(part).__name__ in _SINGLE for part in estimator.estimators_)
    dtype = np.float32 if is_single and weights is None else np.float64
    given = np.ones(len(parts)) if weights is None else np.asarray(weights)
    return _average(parts, encoding, columns, given.astype(dtype))


def _bagging(estimator: Any, encoding: Encoding, columns: list[int]) -> Compiled:
    parts = []
    for part, given in zip(estimator.estimators_, estimator.estimators_features_):
        order = [int(index) for index in given]
        inputs = encoding.with_features(order, encoding.matrix[:, order])
        if columns and not hasattr(part, "predict_proba"):
            raise NotCompiled(f"the part {type(part).__name__} gives no probabilities")
        parts.append(_part(part, inputs, _columns_of_parts(columns)))
    return _average(parts, encoding, columns, np.ones(len(parts)))


def _average(
    parts: list[Compiled], encoding: Encoding, columns: list[int], weights: Any
) -> Compiled:
    whole = weights.sum().reshape(1)
    tables = {"weights": weights, "whole": whole}
    return _combined(parts, encoding, columns, "average", tables)


def _combined(
    parts: list[Compiled],
    encoding: Encoding,
    columns: list[int],
    kernel: Kernel,
    tables: Tables,
    **options: Any,
) -> Compiled:
    """A program of parts, the tables of each under its number."""
    found = dict(tables)
    cuts: Cuts = {}
    for number, part in enumerate(parts):
        found |= _prefixed(f"part_{number}", part.tables)
        for column, values in part.cuts.items():
            cuts[column] = np.union1d(cuts.get(column, values), values)
    program = program_of(
        encoding,
        kernel,
        columns,
        link="identity",
        parts=[part.program for part in parts],
        **options,
    )
    return Compiled(program, found, cuts)


def _prefixed(prefix: str, tables: Tables) -> Tables:
    return {f"{prefix}.{name}": table for name, table in tables.items()}


def _calibrated(estimator: Any, encoding: Encoding, columns: list[int]) -> Compiled:
    parts = []
    for pair in estimator.calibrated_classifiers_:
        method = "decision_function"
        if not hasattr(pair.estimator, method):
            method = "predict_proba"
        part = _part(pair.estimator, encoding, _natural(columns), method)
        parts.append(
            _combined(
                [part],
                encoding,
                _columns_of_parts(columns),
                pair.method,
                _calibrators(pair),
                complement=len(columns) == 2 and columns[-1] == 0,
            )
        )
    return _average(parts, encoding, columns, np.ones(len(parts)))


def _calibrators(pair: Any) -> Tables:
    """What turns the scores of a part into probabilities."""
    if pair.method == "sigmoid":
        lines = [(item.a_, item.b_) for item in pair.calibrators]
        return {"lines": np.array(lines, dtype=np.float64)}
    if pair.method != "isotonic":
        raise NotCompiled(f"the method {pair.method!r} of calibrating is not compiled")
    steps = [
        np.column_stack([item.X_thresholds_, item.y_thresholds_])
        for item in pair.calibrators
    ]
    if any(part.dtype != np.float64 for part in steps):
        raise NotCompiled("isotonic steps of float32 are not compiled")
    return {
        "steps": np.concatenate(steps),
        "step_counts": np.array([len(part) for part in steps], dtype=np.int64),
    }


def _stack(estimator: Any, encoding: Encoding, columns: list[int]) -> Compiled:
    parts = []
    for part, method in zip(estimator.estimators_, estimator.stack_method_):
        if columns and method == "predict":
            raise NotCompiled(f"the part {type(part).__name__} gives classes alone")
        parts.append(_part(part, encoding, _natural(columns), method))
    width = sum(part.program.outputs for part in parts)
    inputs = _behind(encoding, width, estimator.passthrough)
    final = _part(estimator.final_estimator_, inputs, _columns_of_parts(columns))
    found = _combined(
        parts,
        encoding,
        columns,
        "stack",
        _prefixed("final", final.tables),
        final=final.program,
    )
    for column, values in final.cuts.items():
        if column >= width:
            known = found.cuts.get(column - width, values)
            found.cuts[column - width] = np.union1d(known, values)
    return found


def _behind(encoding: Encoding, width: int, passthrough: bool) -> Encoding:
    """The input of a final model: the outputs of the parts, and the whole's own."""
    numeric = [NumericSource(column=column) for column in range(width)]
    features: list[Feature] = [NumericFeature(source) for source in range(width)]
    matrix = np.zeros((len(encoding.matrix), width))
    if not passthrough:
        return Encoding([], numeric, [], features, matrix, is_sparse=False)
    for source in encoding.numeric:
        column = source.column
        moved = None if column is None else column + width
        numeric.append(NumericSource(column=moved, derived=source.derived))
    for feature in encoding.features:
        is_number = isinstance(feature, NumericFeature)
        after = feature.source + width if is_number else feature.source
        features.append(replace(feature, source=after))
    return replace(
        encoding,
        numeric=numeric,
        category=[
            msgspec.structs.replace(source, column=source.column + width)
            for source in encoding.category
        ],
        features=features,
        matrix=np.hstack([matrix, encoding.matrix]),
    )
