"""From a fitted pipeline to a program and its tables, verified."""

import io
from typing import Any

import numpy as np

from ml_assets.records.plan import Signature
from ml_assets.serving.compiler.check import check_answers
from ml_assets.serving.compiler.columns import read_encoding
from ml_assets.serving.compiler.composed import compile_estimator
from ml_assets.serving.compiler.encoding import NotCompiled
from ml_assets.serving.runtime.compiled import load_tables
from ml_assets.serving.runtime.program import Program
from ml_assets.serving.runtime.sklearn_runtime import SklearnRuntime


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
    program, tables, cuts = compile_estimator(pipeline[-1], encoding, columns)
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
