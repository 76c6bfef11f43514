"""The transformer that a project brings itself, and the columns that it gives."""

from collections.abc import Sequence
from typing import Any

import pandas as pd
from pandas.api import types
from sklearn.base import clone

from ml_assets.core.user_code import UserCodeError, load_class
from ml_assets.ml.cleaning import FeatureError
from ml_assets.ml.frames import plain_texts


def user_transform(path: str) -> Any:
    """The unfitted transformer at an import path, which gives DataFrames.

    Raises
    ------
    FeatureError
        If it is not trusted, cannot be imported, takes arguments that it must be given,
        or is no transformer.
    """
    try:
        found = load_class(path)()
    except (UserCodeError, TypeError) as error:
        raise FeatureError(f"features.transform: {error}") from error
    lacking = [
        name
        for name in ("fit", "transform", "get_params")
        if not callable(getattr(found, name, None))
    ]
    if lacking:
        raise FeatureError(
            f"features.transform: {path} has no {lacking[0]}, expected a transformer of"
            " scikit-learn: a class with the bases TransformerMixin and BaseEstimator"
        )
    # There are no columns to name where it does not say how they are called.
    if hasattr(found, "set_output"):
        found.set_output(transform="pandas")
    return found


def columns_given(steps: Sequence[Any], x: pd.DataFrame, y: Any) -> pd.DataFrame:
    """What transformers, of which the last is the project's own, make of rows.

    Parameters
    ----------
    steps : sequence of transformers
        Are left unfitted.
    x : DataFrame of shape (n_rows, n_inputs)
        Training rows.
    y : ndarray of shape (n_rows,)
        Their target.

    Raises
    ------
    FeatureError
        If it fails, or does not give a row for each row, in columns with names and of
        numbers, truth values or texts.
    """
    own = type(steps[-1])
    name = f"features.transform: {own.__module__}.{own.__name__}"
    try:
        # No Pipeline, which would ask what was fitted of one that learns nothing.
        found = plain_texts(x)
        for step in steps:
            found = clone(step).fit(found, y).transform(found)
    except Exception as error:  # whatever the project's code raises
        raise FeatureError(f"{name} fails on the training rows: {error!r}") from error
    if not isinstance(found, pd.DataFrame):
        raise FeatureError(
            f"{name} returns a {type(found).__name__}, expected a DataFrame: return"
            " one, or define get_feature_names_out"
        )
    if len(found) != len(x):
        raise FeatureError(
            f"{name} returns {len(found):,} rows of {len(x):,}, expected one for each"
        )
    if not all(isinstance(column, str) for column in found.columns) or (
        not found.columns.is_unique or found.columns.empty
    ):
        raise FeatureError(
            f"{name} returns the columns {[*found.columns]}, expected different texts"
        )
    for column in found.columns:
        if not _is_usable(found[column]):
            raise FeatureError(
                f"{name} returns the column '{column}' of {found[column].dtype},"
                " expected numbers, truth values or texts"
            )
    return found


def _is_usable(column: "pd.Series[Any]") -> bool:
    return (
        types.is_numeric_dtype(column.dtype)
        or types.is_string_dtype(column.dtype)
        or types.is_object_dtype(column.dtype)
        or isinstance(column.dtype, pd.CategoricalDtype)
    )
