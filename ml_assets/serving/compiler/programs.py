"""From one fitted estimator to its program and tables."""

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ml_assets.serving.compiler.encoding import (
    Encoding,
    NotCompiled,
    NumericFeature,
)
from ml_assets.serving.compiler.linear import decides_linearly, linear_link
from ml_assets.serving.compiler.masks import build_masks
from ml_assets.serving.compiler.matrix import build_linear, build_walk
from ml_assets.serving.compiler.models import decides_by_sums, read_model
from ml_assets.serving.compiler.thresholds import find_guards, request_thresholds
from ml_assets.serving.compiler.trees import Ensemble, outputs_of
from ml_assets.serving.runtime.program import Kernel, LinkName, Program

Tables = dict[str, NDArray[Any]]
# Request column to the values at which the answer may change.
Cuts = dict[int, NDArray[np.float64]]


class Compiled(NamedTuple):
    """A program, what it reads, and where its answers may change."""

    program: Program
    tables: Tables
    cuts: Cuts


def program_of(
    encoding: Encoding, kernel: Kernel, columns: list[int], **options: Any
) -> Program:
    """A program for the inputs of an encoding; `columns` as in `read_model`."""
    is_same = len(columns) < 3 or columns == sorted(columns)
    return Program(
        kernel=kernel,
        expressions=encoding.expressions,
        numeric=encoding.numeric,
        category=encoding.category,
        outputs=outputs_of(columns),
        order=[] if is_same else columns,
        **options,
    )


def compile_alone(estimator: Any, encoding: Encoding, columns: list[int]) -> Compiled:
    """Compile an estimator that is not made of others.

    Parameters
    ----------
    columns : list of int
        Which of the estimator's classes is each label; empty for a regression.

    Raises
    ------
    NotCompiled
        If the estimator is of another class, or holds what is not compiled.
    """
    link = linear_link(estimator, len(columns))
    if link is not None:
        return _linear(estimator, link, encoding, columns)
    return _trees(*read_model(estimator, encoding, columns), columns)


def compile_decision(
    estimator: Any, encoding: Encoding, columns: list[int]
) -> Compiled:
    """Compile the ``decision_function`` of a classifier; see `compile_alone`."""
    if decides_linearly(estimator):
        return _linear(estimator, "identity", encoding, columns)
    if not decides_by_sums(estimator):
        raise NotCompiled(f"{type(estimator).__name__}'s decisions are not compiled")
    ensemble, encoding = read_model(estimator, encoding, columns)
    return _trees(replace(ensemble, link="identity"), encoding, columns)


def _linear(
    estimator: Any, link: LinkName, encoding: Encoding, columns: list[int]
) -> Compiled:
    guards = find_guards(
        encoding, is_single=False, takes_missing=False, takes_infinite=False
    )
    tables = build_linear(estimator, encoding, guards)
    outputs = len(tables["intercept"])
    if outputs != outputs_of(columns):
        raise NotCompiled(f"the estimator predicts {outputs} targets")
    is_complement = len(columns) == 2 and columns[-1] == 0
    program = program_of(
        encoding, "linear", columns, link=link, complement=is_complement
    )
    return Compiled(program, tables, {})


def _trees(ensemble: Ensemble, encoding: Encoding, columns: list[int]) -> Compiled:
    guards = find_guards(
        encoding,
        is_single=ensemble.is_single,
        takes_missing=ensemble.takes_missing,
        takes_infinite=ensemble.takes_infinite,
    )
    tables = build_masks(ensemble, encoding, guards)
    kernel: Kernel = "masks"
    if tables is None:
        kernel, tables = "walk", build_walk(ensemble, encoding, guards)
    program = program_of(
        encoding,
        kernel,
        columns,
        link=ensemble.link,
        count=len(ensemble.trees) if ensemble.link == "mean" else 1,
        complement=ensemble.complement,
        slope=ensemble.slope,
        vectors=ensemble.vectors,
    )
    return Compiled(program, tables, _cuts(ensemble, encoding))


def _cuts(ensemble: Ensemble, encoding: Encoding) -> Cuts:
    """Request column to the values at which one of the trees decides otherwise."""
    found: Cuts = {}
    for number, feature in enumerate(encoding.features):
        if not isinstance(feature, NumericFeature):
            continue
        column = encoding.numeric[feature.source].column
        if column is not None:
            limits = np.concatenate(
                [tree.threshold[tree.feature == number] for tree in ensemble.trees]
            )
            found[column] = np.unique(
                request_thresholds(feature, limits, ensemble.is_single)
            )
    return found
