"""Raw columns as inputs: cast to the types of the YAML, without uninformative ones."""

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import pandas as pd

from ml_assets.core.expressions.expression import Expression
from ml_assets.ml.dates import date_columns
from ml_assets.ml.identifiers import identifier_reason
from ml_assets.spec.model import FeaturesSpec

Columns = dict[str, "pd.Series[Any]"]


class FeatureError(ValueError):
    """A column that cannot become what the model's YAML asks for."""


def cast_inputs(
    frame: pd.DataFrame, spec: FeaturesSpec, target: str, whole: Collection[str]
) -> tuple[Columns, dict[str, int]]:
    """The input columns with the types that `spec` wants, a row at a time.

    Parameters
    ----------
    whole : collection of str
        What `integral_columns` found in all rows.

    Returns
    -------
    columns : dict of str to Series
        All but the target and those that `spec` drops.
    lost : dict of str to int
        How many values of a column are no numbers.
    """
    columns: Columns = {}
    lost: dict[str, int] = {}
    for name in frame.columns:
        if name != target and name not in spec.drop:
            columns[name] = _cast(frame[name], spec, name in whole)
            if name in spec.numeric:
                gone = columns[name].isna() & frame[name].notna()
                lost[name] = int(gone.sum())
    return columns, lost


def integral_columns(frame: pd.DataFrame, spec: FeaturesSpec) -> list[str]:
    """Columns of floats that become categories and hold whole numbers only."""
    floats = [name for name in spec.categorical if _is_float(frame.get(name))]
    return [name for name in floats if (frame[name].dropna() % 1 == 0).all()]


def drop_uninformative(
    columns: Columns, lost: Mapping[str, int], spec: FeaturesSpec, notes: list[str]
) -> Columns:
    """Leave out constants and identifiers, with a sentence each in `notes`.

    So are dates that are not written in ISO 8601. What a derived column reads is kept,
    and so is a category or a text that the YAML asks for, though each row may have its
    own.
    """
    parsed = [Expression.parse(text) for text in spec.derive.values()]
    read = {name for item in parsed for name in item.columns}
    dates = date_columns(pd.DataFrame(columns, copy=False), spec)
    inputs = {}
    for name, column in columns.items():
        if lost.get(name):
            notes.append(
                f"{lost[name]:,} values of '{name}' are no numbers: taken as missing"
            )
        constant, identifier = _constant(column), identifier_reason(column)
        if constant and (name not in read or column.isna().all()):
            notes.append(f"column '{name}' left out: {constant}")
        elif name in dates:
            inputs[name] = column
            if name not in spec.dates:
                notes.append(
                    f"column '{name}' holds dates: their age and parts of the calendar"
                    " are features, which features.drop leaves out"
                )
        elif identifier and name not in (*spec.categorical, *spec.text, *read):
            notes.append(f"column '{name}' left out: {identifier}; {_remedy(column)}")
        else:
            inputs[name] = column
    return inputs


def _remedy(column: "pd.Series[Any]") -> str:
    """The keys of the YAML that make an input of a column of identifiers."""
    distinct = pd.Series(column.dropna().unique().tolist())
    numbers = pd.to_numeric(distinct, errors="coerce").notna()
    if numbers.mean() < 0.5:
        return (
            "features.text makes features of its words, features.categorical keeps it"
            " as it is"
        )
    return "features.numeric reads its numbers, features.categorical keeps it as it is"


def _cast(
    column: "pd.Series[Any]", spec: FeaturesSpec, is_whole: bool
) -> "pd.Series[Any]":
    if column.name in spec.numeric:
        return _as_number(column)
    if column.name in (*spec.categorical, *spec.dates, *spec.text):
        return _as_category(column, is_whole)
    if pd.api.types.is_bool_dtype(column.dtype):
        return column
    if pd.api.types.is_numeric_dtype(column.dtype):
        whole = pd.api.types.is_integer_dtype(column.dtype) and column.notna().all()
        return column.astype(np.int64 if whole else np.float64)
    if isinstance(column.dtype, pd.CategoricalDtype):
        return column
    if pd.api.types.infer_dtype(column, skipna=True) in ("string", "empty"):
        return column.astype("category")
    raise FeatureError(
        f"column '{column.name}' has type {column.dtype}, which is neither number,"
        " boolean nor text; put it under features.drop or features.categorical"
    )


def _as_number(column: "pd.Series[Any]") -> "pd.Series[Any]":
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.astype(object)
    return pd.to_numeric(column, errors="coerce").astype(np.float64)


def _as_category(column: "pd.Series[Any]", is_whole: bool) -> "pd.Series[Any]":
    if isinstance(column.dtype, pd.CategoricalDtype):
        return column
    if is_whole:
        column = column.astype("Int64")
    return column.map(str, na_action="ignore").astype("str").astype("category")


def _is_float(column: Any) -> bool:
    return column is not None and pd.api.types.is_float_dtype(column.dtype)


def _constant(column: "pd.Series[Any]") -> str | None:
    """Why a column can teach nothing; None where it has several values."""
    if column.isna().all():
        return "every value is missing"
    distinct = column.nunique(dropna=False)
    return f"every value is {column.head(1).tolist()[0]!r}" if distinct == 1 else None
