"""Scikit-learn itself as the runtime, and the DataFrames that its pipelines take."""

import warnings
from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ml_assets.records.plan import Column, Signature
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


def frame_of(signature: Signature, columns: Sequence[Sequence[Any]]) -> pd.DataFrame:
    """The inputs among request columns, as types that do not depend on the values.

    Numbers and integers become float64, strings ``str``, and booleans bool, or object
    where the column may be missing.

    Examples
    --------
    >>> from ml_assets.records.plan import Column, Signature
    >>> columns = (Column(name="age", kind="integer", nullable=True),)
    >>> signature = Signature(columns=columns, target="y", negative=0, positive=1)
    >>> frame_of(signature, [[39, None]]).age.tolist()
    [39.0, nan]
    """
    return pd.DataFrame(
        {
            column.name: _series(column, values)
            for column, values in zip(signature.columns, columns, strict=True)
            if not column.ignored
        }
    )


def _series(column: Column, values: Sequence[Any]) -> "pd.Series[Any]":
    if column.kind == "string":
        return pd.Series(list(values), dtype="str")
    if column.kind == "boolean":
        return pd.Series(list(values), dtype="object" if column.nullable else "bool")
    return pd.Series(np.array(values, dtype=np.float64))


def columns_of(signature: Signature, frame: pd.DataFrame) -> list[list[Any]]:
    """The columns of `frame` as request values, missing values as None.

    Columns that are no inputs are not read, and left empty.

    Raises
    ------
    KeyError
        If the frame lacks a column of the signature.
    """
    convert: dict[str, Callable[[Any], Any]] = {
        "number": float,
        "integer": _integer,
        "boolean": bool,
        "string": str,
    }
    found = []
    for column in signature.columns:
        if column.ignored:
            found.append([None] * len(frame))
            continue
        values = frame[column.name]
        function = convert[column.kind]
        found.append(
            [
                None if missing else function(value)
                for value, missing in zip(values.tolist(), values.isna(), strict=True)
            ]
        )
    return found


def _integer(value: Any) -> int | float:
    """`value` as int; as it is where it is no whole number."""
    return int(value) if value == value // 1 else float(value)
