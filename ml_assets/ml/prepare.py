"""From the raw table to the feature table: inputs as training and serving see them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ml_assets.ml.columns import derive
from ml_assets.ml.expressions import Expression
from ml_assets.model import FeaturesSpec

Label = str | int | float | bool


class FeatureError(ValueError):
    """A column that cannot become what the model's YAML says."""


@dataclass(frozen=True)
class Labels:
    """The target as 0 and 1, and which value is which."""

    y: NDArray[np.int64]
    negative: Label
    positive: Label


@dataclass(frozen=True)
class Prepared:
    """What `prepare` makes of a raw table.

    Attributes
    ----------
    table : DataFrame of shape (n_rows, n_inputs + n_derived + 1)
        Inputs, derived columns, and the target with its own values; beside them the
        columns that were asked to be kept.
    inputs : list of str
        The raw columns that the pipeline reads, in their order.
    labels : Labels
        The target as 0 and 1.
    notes : list of str
        What was left out or changed, each a sentence with a count.
    """

    table: pd.DataFrame
    inputs: list[str]
    labels: Labels
    notes: list[str] = field(default_factory=list)

    @property
    def x(self) -> pd.DataFrame:
        """The input columns alone, as `build_pipeline` takes them."""
        return self.table[self.inputs]


def prepare(
    frame: pd.DataFrame,
    spec: FeaturesSpec,
    target: str,
    positive: Label | None = None,
    keep: Sequence[str] = (),
) -> Prepared:
    """Drop, retype and derive columns, and encode the target.

    Parameters
    ----------
    frame : DataFrame of shape (n_rows, n_columns)
        A tidy table: numbers, booleans and categories, NaN for missing.
    spec : FeaturesSpec
        What to drop, to retype and to derive.
    target : str
        The column to predict. Rows without it are left out.
    positive : str, int, float or bool, optional
        Its value that counts as 1; by default the rarer one.
    keep : sequence of str
        Columns that stay in the table even where `spec` drops them, such as the one
        that orders the rows in time.

    Raises
    ------
    FeatureError
        If a column that `spec` names is absent, a derived one exists already, or the
        target does not have two values.

    Examples
    --------
    >>> frame = pd.DataFrame({"gain": [5, 0, 1], "loss": [1, 0, 2], "rich": [1, 0, 0]})
    >>> spec = FeaturesSpec(derive={"net": "gain - loss"})
    >>> prepare(frame, spec, "rich").table
       gain  loss  net  rich
    0     5     1  4.0     1
    1     0     0  0.0     0
    2     1     2 -1.0     0
    """
    _check_columns(frame, spec, target)
    notes = []
    labelled = frame[target].notna()
    if not labelled.all():
        notes.append(f"{int((~labelled).sum()):,} rows without '{target}' left out")
        frame = frame[labelled].reset_index(drop=True)
    inputs: dict[str, pd.Series[Any]] = {}
    for name in frame.columns:
        if name == target or name in spec.drop:
            continue
        column = _retype(frame[name], spec, notes)
        reason = _useless(column)
        if reason:
            notes.append(f"column '{name}' left out: {reason}")
        else:
            inputs[name] = column
    _check_still_there(inputs, spec)
    if not inputs:
        raise FeatureError(f"no input column is left beside the target '{target}'")
    table = pd.DataFrame(inputs)
    derived = derive(table, spec.derive)
    kept = {name: frame[name] for name in keep if name not in inputs and name != target}
    table = table.assign(**derived, **kept, **{target: frame[target]})
    return Prepared(table, list(inputs), encode_target(frame[target], positive), notes)


def input_columns(table: pd.DataFrame, spec: FeaturesSpec, target: str) -> list[str]:
    """The raw input columns inside a prepared table, in their order."""
    others = {target, *spec.drop, *spec.derive}
    return [name for name in table.columns if name not in others]


def encode_target(column: "pd.Series[Any]", positive: Label | None = None) -> Labels:
    """The target as 0 and 1.

    Parameters
    ----------
    column : Series of shape (n_rows,)
        Two distinct values and none missing.
    positive : str, int, float or bool, optional
        The value that counts as 1. By default the rarer one; of two that are equally
        frequent, the one that sorts last.

    Raises
    ------
    FeatureError
        If there are other than two values, or `positive` is none of them.

    Examples
    --------
    >>> encode_target(pd.Series(["no", "yes", "no"]))
    Labels(y=array([0, 1, 0]), negative='no', positive='yes')
    """
    counts = column.value_counts()
    counts = counts[counts > 0]
    found = sorted(counts.index.tolist())
    if len(found) != 2:
        raise FeatureError(
            f"the target '{column.name}' must have two values, found {len(found)}:"
            f" {', '.join(map(repr, found[:5]))}"
        )
    if positive is None:
        positive = found[0] if counts[found[0]] < counts[found[1]] else found[1]
    elif positive not in found:
        # YAML reads 1 and true as numbers; the column may hold them as texts.
        alike = [value for value in found if str(value) == str(positive)]
        if not alike:
            raise FeatureError(
                f"the target '{column.name}' has no value {positive!r}; it has"
                f" {found[0]!r} and {found[1]!r}"
            )
        positive = alike[0]
    positive = found[found.index(positive)]
    negative = found[1 - found.index(positive)]
    y = np.asarray(column == positive).astype(np.int64)
    return Labels(y, negative, positive)


def _check_columns(frame: pd.DataFrame, spec: FeaturesSpec, target: str) -> None:
    known = set(frame.columns)
    for key in ("drop", "numeric", "categorical"):
        absent = [name for name in getattr(spec, key) if name not in known]
        if absent:
            raise FeatureError(
                f"features.{key} names '{absent[0]}', which the data does not have;"
                f" its columns are {', '.join(frame.columns)}"
            )
    if target not in known:
        raise FeatureError(
            f"the data has no target '{target}'; its columns are"
            f" {', '.join(frame.columns)}"
        )
    clash = [name for name in spec.derive if name in known]
    if clash:
        raise FeatureError(
            f"features.derive makes '{clash[0]}', a column that the data already has"
        )
    both = set(spec.numeric) & set(spec.categorical)
    if both:
        raise FeatureError(f"'{min(both)}' is under features.numeric and categorical")


def _check_still_there(inputs: Mapping[str, Any], spec: FeaturesSpec) -> None:
    for name, text in spec.derive.items():
        for column in Expression.parse(text).columns:
            if column not in inputs:
                raise FeatureError(
                    f"features.derive: '{name}' = {text!r} reads '{column}', which is"
                    f" not an input; the inputs are {', '.join(inputs)}"
                )


def _retype(
    column: "pd.Series[Any]", spec: FeaturesSpec, notes: list[str]
) -> "pd.Series[Any]":
    if column.name in spec.numeric:
        return _as_number(column, notes)
    if column.name in spec.categorical:
        return _as_category(column)
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


def _as_number(column: "pd.Series[Any]", notes: list[str]) -> "pd.Series[Any]":
    raw = column
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.astype(object)
    numbers = pd.to_numeric(column, errors="coerce").astype(np.float64)
    lost = int((numbers.isna() & raw.notna()).sum())
    if lost:
        notes.append(
            f"{lost:,} values of '{raw.name}' are no numbers: taken as missing"
        )
    return numbers


def _as_category(column: "pd.Series[Any]") -> "pd.Series[Any]":
    if isinstance(column.dtype, pd.CategoricalDtype):
        return column
    if pd.api.types.is_float_dtype(column.dtype):
        whole = column.dropna() % 1 == 0
        if whole.all():
            column = column.astype("Int64")
    return column.map(str, na_action="ignore").astype("category")


def _useless(column: "pd.Series[Any]") -> str | None:
    """Why a column can teach nothing, or None where it can."""
    if column.isna().all():
        return "every value is missing"
    distinct = column.nunique(dropna=False)
    return f"every value is {column.iloc[0]!r}" if distinct == 1 else None
