"""From a fitted pipeline to a program and its tables, verified."""

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml_assets.records.plan import Signature
from ml_assets.serving.compiler.check import check_answers
from ml_assets.serving.compiler.columns import read_encoding
from ml_assets.serving.compiler.encoding import (
    Encoding,
    NotCompiled,
    NumericFeature,
)
from ml_assets.serving.compiler.linear import linear_link
from ml_assets.serving.compiler.masks import build_masks
from ml_assets.serving.compiler.matrix import build_linear, build_walk
from ml_assets.serving.compiler.models import read_model
from ml_assets.serving.compiler.thresholds import find_guards, request_thresholds
from ml_assets.serving.compiler.trees import Ensemble, outputs_of
from ml_assets.serving.runtime.compiled import load_tables
from ml_assets.serving.runtime.program import Kernel, LinkName, Program
from ml_assets.serving.runtime.sklearn_runtime import SklearnRuntime

Tables = dict[str, NDArray[Any]]
Cuts = dict[int, NDArray[np.float64]]


def compile_pipeline(
    pipeline: Any, signature: Signature, rows: list[list[Any]]
) -> tuple[Program, bytes]:
    """Compile a fitted pipeline, and compare the result with scikit-learn.

    Parameters
    ----------
    pipeline : Pipeline
        Fitted; ``derive`` (optional), ``encode``, ``estimator``.
    signature : Signature
        The request schema.
    rows : list of list
        Probe rows as request columns.

    Returns
    -------
    program : Program
    data : bytes
        The tables as a NumPy archive without pickles.

    Raises
    ------
    NotCompiled
        If the pipeline holds something that the compiled runtime does not know, or an
        answer differs from scikit-learn's.
    """
    reference = SklearnRuntime(pipeline, signature)
    encoding = read_encoding(pipeline, signature, [column[0] for column in rows])
    if not encoding.features:
        raise NotCompiled("the estimator has no input column")
    columns = reference.columns
    _check_classes(signature, columns)
    link = linear_link(pipeline[-1], len(columns))
    if link is not None:
        program, tables, cuts = _linear(pipeline[-1], link, encoding, columns)
    else:
        ensemble, encoding = read_model(pipeline[-1], encoding, columns)
        program, tables, cuts = _trees(ensemble, encoding, columns)
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **tables)
    data = buffer.getvalue()
    compiled = load_tables(signature, program, data)
    check_answers(compiled, reference, rows, program, cuts)
    return program, data


def _check_classes(signature: Signature, columns: list[int]) -> None:
    if signature.task == "multiclass" and len(columns) < 3:
        raise NotCompiled("a multiclass target of two classes")
    if -1 in columns:
        label = signature.labels[columns.index(-1)]
        raise NotCompiled(f"the estimator does not know the class {label!r}")


def _linear(
    estimator: Any, link: LinkName, encoding: Encoding, columns: list[int]
) -> tuple[Program, Tables, Cuts]:
    guards = find_guards(
        encoding, is_single=False, takes_missing=False, takes_infinite=False
    )
    tables = build_linear(estimator, encoding, guards)
    outputs = len(tables["intercept"])
    if outputs != outputs_of(columns):
        raise NotCompiled(f"the estimator predicts {outputs} targets")
    program = _program(
        encoding,
        "linear",
        link=link,
        complement=len(columns) == 2 and columns[-1] == 0,
        outputs=outputs,
        order=_order(columns),
    )
    return program, tables, {}


def _trees(
    ensemble: Ensemble, encoding: Encoding, columns: list[int]
) -> tuple[Program, Tables, Cuts]:
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
    program = _program(
        encoding,
        kernel,
        link=ensemble.link,
        count=len(ensemble.trees) if ensemble.link == "mean" else 1,
        complement=ensemble.complement,
        slope=ensemble.slope,
        outputs=ensemble.outputs,
        vectors=ensemble.vectors,
        order=_order(columns),
    )
    return program, tables, _cuts(ensemble, encoding)


def _order(columns: list[int]) -> list[int]:
    """The order of several classes, where it is not the estimator's."""
    is_same = len(columns) < 3 or columns == sorted(columns)
    return [] if is_same else columns


def _program(encoding: Encoding, kernel: Kernel, **options: Any) -> Program:
    return Program(
        kernel=kernel,
        expressions=encoding.expressions,
        numeric=encoding.numeric,
        category=encoding.category,
        **options,
    )


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
