"""From the raw table to the feature table: inputs as training and serving see them.

Casting and deriving depend on one row alone, so that the pieces of a large table can be
prepared apart (`prepare_part`). What depends on all rows, whether a column can teach
anything, comes after they are joined (`join_prepared`).
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from ml_assets.core.expressions.expression import Expression
from ml_assets.ml.cleaning import (
    Columns,
    FeatureError,
    cast_inputs,
    drop_uninformative,
    integral_columns,
)
from ml_assets.ml.concat import concat_tables
from ml_assets.ml.dates import date_features
from ml_assets.ml.frames import derive, with_columns
from ml_assets.ml.tasks import Target, Task, encode_target
from ml_assets.records.plan import Label
from ml_assets.spec.metrics import Kind
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
    target : Target
        The target as numbers, and what is predicted.
    notes : list of str
        What was left out or changed, each a sentence with a count.
    """

    table: pd.DataFrame
    inputs: list[str]
    target: Target
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
    pinned: Task | None = None,
    kind: Kind = "classification",
    classes: Sequence[Label] | None = None,
) -> Prepared:
    """Drop, cast and derive columns, and encode the target.

    Parameters
    ----------
    frame : DataFrame of shape (n_rows, n_columns)
        A tidy table: numbers, booleans and categories, NaN for missing.
    spec : FeaturesSpec
        What to drop, to cast and to derive.
    target : str
        The column to predict. Rows without it are left out.
    positive : str, int, float or bool, optional
        Its value that counts as 1; by default that of `pinned`, else the rarer one.
    keep : sequence of str
        Columns that stay in the table even where `spec` drops them, such as the one
        that orders the rows in time.
    pinned : Task, optional
        That of the model's first training.
    kind, classes
        What is predicted: see `~ml_assets.ml.tasks.find_task`.

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
    frame, unlabelled = _labelled(frame, target)
    columns, lost = cast_inputs(frame, spec, target, integral_columns(frame, spec))
    inputs, notes = _inputs(columns, {**lost, target: unlabelled}, spec, target)
    if unlabelled:
        frame = frame.assign(**{target: _as_if_never_missing(frame[target])})
    table = _assemble(frame, inputs, spec, target, keep)
    found = encode_target(frame[target], positive, pinned, kind, classes)
    return Prepared(table, list(inputs), found, notes)


def prepare_part(
    frame: pd.DataFrame,
    spec: FeaturesSpec,
    target: str,
    whole: Collection[str],
    keep: Sequence[str] = (),
) -> tuple[pd.DataFrame, dict[str, int]]:
    """Cast and derive the columns of some rows.

    Parameters
    ----------
    frame : DataFrame of shape (n_rows, n_columns)
        Some rows of a tidy table; those without the target are left out.
    whole : collection of str
        What `~ml_assets.ml.cleaning.integral_columns` found in the whole table.

    Returns
    -------
    table : DataFrame of shape (n_rows, n_inputs + n_derived + 1)
        As `prepare` makes it, but for columns that teach nothing.
    lost : dict of str to int
        How many values of a column are no numbers, and rows lack the target.
    """
    _check_columns(frame, spec, target)
    frame, unlabelled = _labelled(frame, target)
    columns, lost = cast_inputs(frame, spec, target, whole)
    _check_derived(columns, spec)
    lost[target] = unlabelled
    return _assemble(frame, columns, spec, target, keep), lost


def join_prepared(
    parts: Sequence[tuple[pd.DataFrame, Mapping[str, int]]],
    spec: FeaturesSpec,
    target: str,
    positive: Label | None = None,
    keep: Sequence[str] = (),
    pinned: Task | None = None,
    kind: Kind = "classification",
    classes: Sequence[Label] | None = None,
) -> Prepared:
    """What `prepare` makes of all rows, from the tables of the pieces.

    Parameters
    ----------
    parts : sequence of (DataFrame, dict)
        What `prepare_part` gave for each piece, in their order.

    Examples
    --------
    >>> spec = FeaturesSpec(derive={"twice": "2 * a"})
    >>> rows = pd.DataFrame({"a": [1, 2], "b": [0, 0], "rich": [1, 0]})
    >>> pieces = [prepare_part(rows[n : n + 1], spec, "rich", ()) for n in (0, 1)]
    >>> prepared = join_prepared(pieces, spec, "rich")
    >>> prepared.table.columns.tolist(), prepared.notes
    (['a', 'twice', 'rich'], ["column 'b' left out: every value is 0"])
    """
    table = concat_tables([(f"part {n}", part) for n, (part, _) in enumerate(parts, 1)])
    lost = {name: sum(count[name] for _, count in parts) for name in parts[0][1]}
    others = {target, *spec.derive, *keep}
    columns = {name: table[name] for name in table.columns if name not in others}
    inputs, notes = _inputs(columns, lost, spec, target)
    table = table.drop(columns=[name for name in columns if name not in inputs])
    if lost.get(target):
        table = table.assign(**{target: _as_if_never_missing(table[target])})
    found = encode_target(table[target], positive, pinned, kind, classes)
    return Prepared(table, list(inputs), found, notes)


def input_columns(
    table: pd.DataFrame, spec: FeaturesSpec, target: str, keep: Sequence[str] = ()
) -> list[str]:
    """The raw input columns inside a prepared table, in their order.

    Those of `keep` are in the table for another reason.
    """
    others = {target, *spec.drop, *spec.derive, *keep}
    return [name for name in table.columns if name not in others]


def _labelled(frame: pd.DataFrame, target: str) -> tuple[pd.DataFrame, int]:
    """The rows that have a target, and how many have none."""
    known = frame[target].notna()
    if known.all():
        return frame, 0
    return frame[known].reset_index(drop=True), int((~known).sum())


def _inputs(
    columns: Columns, lost: Mapping[str, int], spec: FeaturesSpec, target: str
) -> tuple[Columns, list[str]]:
    """The columns that the pipeline reads, and notes on rows and columns left out.

    Raises
    ------
    FeatureError
        If none is left, or a derived column reads another.
    """
    rows = lost.get(target)
    notes = [f"{rows:,} rows without '{target}' left out"] if rows else []
    inputs = drop_uninformative(columns, lost, spec, notes)
    _check_derived(inputs, spec)
    if not inputs:
        raise FeatureError(f"no input column is left beside the target '{target}'")
    return inputs, notes


def _as_if_never_missing(column: "pd.Series[Any]") -> "pd.Series[Any]":
    """The target as it would be read if no row had lacked it: 1.0 and 0.0 as 1, 0."""
    if pd.api.types.is_float_dtype(column) and (column % 1 == 0).all():
        return column.astype("int64")
    if {*column.unique()} <= {"True", "False"}:
        return column.astype(object) == "True"
    return column


def _assemble(
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


def _check_columns(frame: pd.DataFrame, spec: FeaturesSpec, target: str) -> None:
    """Refuse a table that lacks a column which `spec` names, or has a derived one."""
    known = set(frame.columns)
    for key in ("drop", "numeric", "categorical", "dates", "text"):
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
    both_ways = [name for name in date_features(spec.dates) if name in known]
    if both_ways:
        raise FeatureError(
            f"features.dates makes '{both_ways[0]}', a column that the data already has"
        )
    clash = [name for name in spec.derive if name in known]
    if clash:
        raise FeatureError(
            f"features.derive makes '{clash[0]}', a column that the data already has"
        )
    both = set(spec.numeric) & set(spec.categorical)
    if both:
        raise FeatureError(f"'{min(both)}' is under features.numeric and categorical")


def _check_derived(inputs: Collection[str], spec: FeaturesSpec) -> None:
    """Refuse derived columns that read a column which is no input."""
    for name, text in spec.derive.items():
        for column in Expression.parse(text).columns:
            if column not in inputs:
                raise FeatureError(
                    f"features.derive: '{name}' = {text!r} reads '{column}', which is"
                    f" not an input; the inputs are {', '.join(inputs)}"
                )
