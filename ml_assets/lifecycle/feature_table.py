"""The feature table of a model: prepared rows, and which are held out to test."""

from typing import TYPE_CHECKING

from ml_assets.core.files import home
from ml_assets.lifecycle.rows import RowsError, is_among, labelled, rows_of
from ml_assets.spec.model import FeaturesSpec, ModelSpec
from ml_assets.spec.reserved import HELD_OUT

if TYPE_CHECKING:
    import pandas as pd

    from ml_assets.lifecycle.rows import Mask
    from ml_assets.ml.prepare import Prepared

# A feature table, and notes on it.
Table = tuple["pd.DataFrame", list[str]]


def feature_table(spec: ModelSpec, raw: "pd.DataFrame") -> Table:
    """The feature table with its mask of held-out rows, and notes on its changes."""
    from ml_assets.ml.prepare import prepare
    from ml_assets.ml.split import with_test_rows
    from ml_assets.state.pinned import pinned_task

    keep = columns_to_keep(spec)
    if spec.split.source is not None:
        from ml_assets.ml.sources import read_source

        source, cache = spec.split.source, home() / "cache"
        held = read_source(source, cache, columns=spec.columns)
        raw, mask = with_test_rows(raw, held)
        raw = raw.assign(**{HELD_OUT: mask})
        keep = [HELD_OUT, *keep]
    features = without(spec, keep)
    prepared = prepare(
        raw,
        features,
        spec.target,
        spec.positive,
        keep,
        pinned_task(spec),
        spec.task,
        spec.classes,
    )
    return hold_out(spec, prepared, raw)


def columns_to_keep(spec: ModelSpec) -> list[str]:
    """Columns that are no inputs and are needed all the same."""
    key = [name for name in spec.split.key if name in spec.features.drop]
    return [*spec.split.beside_inputs, *key]


def without(spec: ModelSpec, keep: list[str]) -> FeaturesSpec:
    """The features of `spec`, which do not take those columns for inputs."""
    return spec.features.model_copy(update={"drop": [*spec.features.drop, *keep]})


def hold_out(spec: ModelSpec, prepared: "Prepared", raw: "pd.DataFrame") -> Table:
    """The prepared table with the mask of the rows that are held out to test.

    Which those are is seen in the raw rows, before anything is dropped or derived.
    """
    from ml_assets.ml.row_identity import Identity
    from ml_assets.ml.split import check_mask, check_minimum, held_out
    from ml_assets.state.pinned import pin_identity

    table, (y, task) = prepared.table, prepared.target
    if HELD_OUT in table.columns:
        check_minimum(table[HELD_OUT].to_numpy(), y, spec.split.minimum, task.labels)
        return table, prepared.notes
    rows = labelled(raw, spec.target)
    is_by_rows = spec.split.type == "stratified"
    identity, notes = pin_identity(spec, rows) if is_by_rows else (Identity(()), [])
    mask = held_out(rows, y, spec.split, identity, task.labels)
    if notes:
        mask = _as_the_champion(spec, rows, mask)
        check_mask(mask, y, task.labels)
    check_minimum(mask, y, spec.split.minimum, task.labels)
    return table.assign(**{HELD_OUT: mask}), [*prepared.notes, *notes]


def _as_the_champion(spec: ModelSpec, cells: "pd.DataFrame", mask: "Mask") -> "Mask":
    """The mask with the champion's rows on the side where that one had them.

    A column is gone that identified rows, so that their numbers are others now.
    """
    from ml_assets.ml.row_identity import IdentityError
    from ml_assets.state.plans import Plans
    from ml_assets.state.versions import Versions

    plan = Plans().current(spec.name)
    if plan is None:
        return mask
    record = Versions().get(spec.name, plan.live.version)
    try:
        champion = rows_of(record)
        learnt = is_among(spec, cells, champion, ~champion.test)
        tested = is_among(spec, cells, champion, champion.test)
    except (IdentityError, RowsError):
        # Its tables were removed, or share no column with these: the comparison
        # reports it.
        return mask
    return (mask | tested) & ~learnt
