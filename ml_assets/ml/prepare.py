"""From the raw table to the feature table: inputs as training and serving see them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from ml_assets.core.expressions.expression import Expression
from ml_assets.ml.classes import Classes
from ml_assets.ml.classes import Label as Label
from ml_assets.ml.classes import Labels as Labels
from ml_assets.ml.classes import encode_target as encode_target
from ml_assets.ml.columns import derive, with_columns
from ml_assets.ml.retype import Columns
from ml_assets.ml.retype import FeatureError as FeatureError
from ml_assets.ml.retype import keep_useful, retype, whole_numbers
from ml_assets.spec.model import FeaturesSpec


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
    pinned: Classes | None = None,
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
        Its value that counts as 1; by default that of `pinned`, else the rarer one.
    keep : sequence of str
        Columns that stay in the table even where `spec` drops them, such as the one
        that orders the rows in time.
    pinned : Classes, optional
        The classes of the model's first training.

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
    check_columns(frame, spec, target)
    notes: list[str] = []
    frame, unlabelled = labelled(frame, target)
    notes += told_of(unlabelled, target)
    retyped, lost = retype(frame, spec, target, whole_numbers(frame, spec))
    inputs = keep_useful(retyped, lost, spec, notes)
    check_inputs(inputs, spec)
    if not inputs:
        raise FeatureError(f"no input column is left beside the target '{target}'")
    if unlabelled:
        frame = frame.assign(**{target: as_if_never_missing(frame[target])})
    table = assemble(frame, inputs, spec, target, keep)
    labels = encode_target(frame[target], positive, pinned)
    return Prepared(table, list(inputs), labels, notes)


def labelled(frame: pd.DataFrame, target: str) -> tuple[pd.DataFrame, int]:
    """The rows that have a target, and how many have none."""
    known = frame[target].notna()
    if known.all():
        return frame, 0
    return frame[known].reset_index(drop=True), int((~known).sum())


def told_of(unlabelled: int, target: str) -> list[str]:
    """What is told of rows that have no target."""
    return [f"{unlabelled:,} rows without '{target}' left out"] if unlabelled else []


def as_if_never_missing(column: "pd.Series[Any]") -> "pd.Series[Any]":
    """The target as it would be read if no row had lacked it.

    Examples
    --------
    >>> as_if_never_missing(pd.Series([1.0, 0.0])).tolist()
    [1, 0]
    """
    if pd.api.types.is_float_dtype(column) and (column % 1 == 0).all():
        return column.astype("int64")
    if {*column.unique()} <= {"True", "False"}:
        return column.astype(object) == "True"
    return column


def assemble(
    frame: pd.DataFrame,
    inputs: Columns,
    spec: FeaturesSpec,
    target: str,
    keep: Sequence[str],
) -> pd.DataFrame:
    """Inputs, derived columns, those of `keep`, and the target."""
    table = pd.DataFrame(inputs)
    derived = derive(table, spec.derive)
    kept = {name: frame[name] for name in keep if name not in inputs and name != target}
    return with_columns(table, {**derived, **kept, target: frame[target]})


def input_columns(table: pd.DataFrame, spec: FeaturesSpec, target: str) -> list[str]:
    """The raw input columns inside a prepared table, in their order."""
    others = {target, *spec.drop, *spec.derive}
    return [name for name in table.columns if name not in others]


def check_columns(frame: pd.DataFrame, spec: FeaturesSpec, target: str) -> None:
    """Refuse a table that lacks a column which `spec` names, or has a derived one."""
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


def check_inputs(inputs: Collection[str], spec: FeaturesSpec) -> None:
    """Refuse derived columns that read a column which is no input."""
    for name, text in spec.derive.items():
        for column in Expression.parse(text).columns:
            if column not in inputs:
                raise FeatureError(
                    f"features.derive: '{name}' = {text!r} reads '{column}', which is"
                    f" not an input; the inputs are {', '.join(inputs)}"
                )
