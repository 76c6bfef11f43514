"""The feature table from pieces of the raw table: the same as from all of it at once.

Retyping and deriving look at a row alone, so that pieces can be prepared apart. What
looks at all rows, whether a column can teach anything, comes after they are joined.
"""

from collections.abc import Collection, Mapping, Sequence

import pandas as pd

from ml_assets.ml.classes import Classes, Label, encode_target
from ml_assets.ml.parts import join_parts
from ml_assets.ml.prepare import (
    Prepared,
    as_if_never_missing,
    assemble,
    check_columns,
    check_inputs,
    labelled,
    told_of,
)
from ml_assets.ml.retype import FeatureError, keep_useful, retype
from ml_assets.spec.model import FeaturesSpec


def prepare_part(
    frame: pd.DataFrame,
    spec: FeaturesSpec,
    target: str,
    whole: Collection[str],
    keep: Sequence[str] = (),
) -> tuple[pd.DataFrame, dict[str, int]]:
    """Retype and derive the columns of some rows.

    Parameters
    ----------
    frame : DataFrame of shape (n_rows, n_columns)
        Some rows of a tidy table; those without the target are left out.
    whole : collection of str
        What `~ml_assets.ml.prepare.whole_numbers` found in the whole table.

    Returns
    -------
    table : DataFrame of shape (n_rows, n_inputs + n_derived + 1)
        As `~ml_assets.ml.prepare.prepare` makes it, but for columns that teach nothing.
    lost : dict of str to int
        How many values of a column are no numbers, and rows lack the target.
    """
    check_columns(frame, spec, target)
    frame, unlabelled = labelled(frame, target)
    columns, lost = retype(frame, spec, target, whole)
    check_inputs(columns, spec)
    lost[target] = unlabelled
    return assemble(frame, columns, spec, target, keep), lost


def join_prepared(
    parts: Sequence[tuple[pd.DataFrame, Mapping[str, int]]],
    spec: FeaturesSpec,
    target: str,
    positive: Label | None = None,
    keep: Sequence[str] = (),
    pinned: Classes | None = None,
) -> Prepared:
    """What `~ml_assets.ml.prepare.prepare` makes of all rows, from the pieces' tables.

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
    table = join_parts([(f"part {n}", part) for n, (part, _) in enumerate(parts, 1)])
    lost = {name: sum(count[name] for _, count in parts) for name in parts[0][1]}
    others = {target, *spec.derive, *keep}
    columns = {name: table[name] for name in table.columns if name not in others}
    notes = told_of(lost.get(target, 0), target)
    inputs = keep_useful(columns, lost, spec, notes)
    check_inputs(inputs, spec)
    if not inputs:
        raise FeatureError(f"no input column is left beside the target '{target}'")
    table = table.drop(columns=[name for name in columns if name not in inputs])
    if lost.get(target):
        table = table.assign(**{target: as_if_never_missing(table[target])})
    labels = encode_target(table[target], positive, pinned)
    return Prepared(table, list(inputs), labels, notes)
