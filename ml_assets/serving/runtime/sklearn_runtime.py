"""Scikit-learn itself as the runtime, and the DataFrames that its pipelines take."""

import warnings
from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ml_assets.core.column_arrays import ColumnArray
from ml_assets.records.plan import Column, Signature
from ml_assets.serving.runtime.protocol import Answer, Refused, finite


def class_columns(classes: Sequence[Any], signature: Signature) -> list[int]:
    """Which of the estimator's classes is each label of the signature.

    An estimator that was fitted on 0 to k - 1 means the labels by their position.

    Returns
    -------
    list of int
        One a label: (negative, positive), or the classes; -1 for a class that no row of
        training had.

    Raises
    ------
    ValueError
        If a class is no label of the signature, or a binary one lacks a label.
    """
    found = [item.item() if hasattr(item, "item") else item for item in classes]
    labels, codes = [*signature.labels], [*range(len(signature.labels))]
    if found == codes:
        return codes
    is_multiclass = signature.task == "multiclass"
    known = codes if is_multiclass and not set(found) <= {*labels} else labels
    if set(found) <= {*known} and (is_multiclass or len(found) == len(known)):
        return [found.index(item) if item in found else -1 for item in known]
    expected = " and ".join(map(repr, labels))
    raise ValueError(f"the estimator's classes are {found}, expected {expected}")


class SklearnRuntime:
    """Answers with the fitted pipeline; the slow runtime that takes every estimator.

    Attributes
    ----------
    columns : list of int
        As `class_columns` has it; empty for a regression.
    """

    kind: Literal["compiled", "sklearn"] = "sklearn"

    def __init__(self, pipeline: Any, signature: Signature) -> None:
        self.signature = signature
        self._pipeline = pipeline
        self.columns: list[int] = []
        if signature.task != "regression":
            self.columns = class_columns(pipeline.classes_, signature)

    def predict_one(self, values: Sequence[Any]) -> Answer:
        """The answer for one row."""
        found = self.predict_many([[value] for value in values])[0]
        return found if self.signature.task == "multiclass" else float(found)

    def predict_many(self, columns: Sequence[Sequence[Any]]) -> NDArray[np.float64]:
        """The answer for each row."""
        try:
            frame = frame_of(self.signature, columns)
            with warnings.catch_warnings():
                # Unknown categories and huge numbers are known cases, not surprises.
                warnings.simplefilter("ignore")
                answers = self.answers(frame)
        except (ValueError, OverflowError) as error:
            raise Refused(str(error)) from error
        return finite(answers) if self.signature.task == "regression" else answers

    def answers(self, frame: pd.DataFrame) -> NDArray[np.float64]:
        """The pipeline's answer to each row of a frame, of shape (n,) or (n, k)."""
        task = self.signature.task
        if task == "regression":
            return np.asarray(self._pipeline.predict(frame), np.float64).reshape(-1)
        found = np.asarray(self._pipeline.predict_proba(frame), np.float64)
        if task == "binary":
            return found[:, self.columns[1]]
        if self.columns == [*range(found.shape[1])]:
            return found
        # The last column is of the classes that the estimator does not know.
        return np.column_stack([found, np.zeros(len(found))])[:, self.columns]


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
        return pd.Series(_objects(values), dtype="str")
    if column.kind == "boolean":
        kind = "object" if column.nullable else "bool"
        return pd.Series(_objects(values), dtype=kind)
    return pd.Series(np.array(values, dtype=np.float64))


def _objects(values: Sequence[Any]) -> Any:
    """The values as pandas takes them; those of an array share their objects."""
    if isinstance(values, ColumnArray):
        return np.asarray(values, object)
    return list(values)


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
