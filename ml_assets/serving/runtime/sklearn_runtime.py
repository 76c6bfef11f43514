"""Scikit-learn itself as the runtime, for pipelines that do not compile."""

import warnings
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ml_assets.records.plan import Signature
from ml_assets.serving.runtime.frames import frame_of
from ml_assets.serving.runtime.protocol import Refused


def positive_index(classes: Sequence[Any], signature: Signature) -> int:
    """Which of the estimator's two classes is the positive one.

    An estimator that was fitted on 0 and 1 means the negative and the positive class.

    Raises
    ------
    ValueError
        If the classes are neither those of the signature nor 0 and 1.
    """
    found = [item.item() if hasattr(item, "item") else item for item in classes]
    if found == [0, 1]:
        return 1
    if len(found) == 2 and set(found) == {signature.negative, signature.positive}:
        return found.index(signature.positive)
    raise ValueError(
        f"the estimator's classes are {found}, expected"
        f" {signature.negative!r} and {signature.positive!r}"
    )


class SklearnRuntime:
    """Answers with the fitted pipeline; the slow runtime that takes every estimator."""

    kind: Literal["compiled", "sklearn"] = "sklearn"

    def __init__(self, pipeline: Any, signature: Signature) -> None:
        self.signature = signature
        self._pipeline = pipeline
        self.positive = positive_index(pipeline.classes_, signature)

    def predict_one(self, values: Sequence[Any]) -> float:
        """Probability of the positive class for one row."""
        return float(self.predict_many([[value] for value in values])[0])

    def predict_many(self, columns: Sequence[Sequence[Any]]) -> NDArray[np.float64]:
        """Probability of the positive class for each row."""
        try:
            frame = frame_of(self.signature, columns)
            with warnings.catch_warnings():
                # Unknown categories and huge numbers are known cases, not surprises.
                warnings.simplefilter("ignore")
                answers = self._pipeline.predict_proba(frame)
        except (ValueError, OverflowError) as error:
            raise Refused(str(error)) from error
        positive: NDArray[np.float64] = answers[:, self.positive].astype(np.float64)
        return positive
