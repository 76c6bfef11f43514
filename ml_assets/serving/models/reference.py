"""The probe rows of a bundle, and scikit-learn's own answers to them at training."""

from typing import TYPE_CHECKING, Any

import numpy as np

from ml_assets.core.digests import BundleError
from ml_assets.core.tolerance import is_close, scale_of
from ml_assets.records.plan import Signature

if TYPE_CHECKING:
    import pandas as pd


def request_columns(signature: Signature, probe: "pd.DataFrame") -> list[list[Any]]:
    """The probe rows as the columns of a request.

    Raises
    ------
    BundleError
        If there is no row, or a column is missing or holds what JSON cannot carry.
    """
    from ml_assets.serving.runtime.sklearn_runtime import columns_of

    if not len(probe):
        raise BundleError("the probe has no row, expected some to compare answers with")
    try:
        columns = columns_of(signature, probe)
    except KeyError as error:
        raise BundleError(f"the probe has no column {error}") from error
    if any(value in (np.inf, -np.inf) for values in columns for value in values):
        raise BundleError("the probe holds an infinite value, which JSON cannot carry")
    return columns


def reference(
    pipeline: Any, signature: Signature, probe: "pd.DataFrame", rows: list[list[Any]]
) -> tuple[list[list[Any]], list[Any]]:
    """Scikit-learn's answers, which requests must get as well, and the rows to ask.

    A row at a step of the model, such as one between two neighbours, may get another
    answer alone than in a batch from scikit-learn itself, and proves nothing.

    Raises
    ------
    BundleError
        If the pipeline answers a request otherwise than the same row of the frame.
    """
    from ml_assets.serving.runtime.sklearn_runtime import SklearnRuntime

    try:
        runtime = SklearnRuntime(pipeline, signature)
        served = runtime.predict_many(rows)
        alone = [runtime.predict_one(list(row)) for row in zip(*rows)]
    except ValueError as error:
        raise BundleError(f"the pipeline refuses its probe rows: {error}") from error
    trained = runtime.answers(probe[[column.name for column in signature.inputs]])
    scale = scale_of(trained)
    for row in np.flatnonzero(~is_close(served, trained, scale)):
        raise BundleError(
            f"probe row {row}: {trained[row]!r} from the training frame, but"
            f" {served[row]!r} from the same values in a request"
        )
    steady = np.flatnonzero(is_close(alone, served, scale))
    if not len(steady):
        raise BundleError(
            "scikit-learn answers every probe row alone otherwise than in a batch, the"
            f" first with {alone[0]!r} and {served[0]!r}: no answer could be verified"
        )
    kept = [[column[row] for row in steady] for column in rows]
    return kept, served[steady].tolist()
