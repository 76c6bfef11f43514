"""What the feature table is, whether it was made at once or in pieces."""

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import dagster as dg

from ml_assets import provenance
from ml_assets.assets.common import key, notes_metadata, table_metadata
from ml_assets.assets.rows import RowsError, is_among, labelled, rows_of
from ml_assets.model import FeaturesSpec, ModelSpec
from ml_assets.reserved import HELD_OUT as HELD_OUT
from ml_assets.resources.tables import DATA_VERSION, MADE_OF

if TYPE_CHECKING:
    import pandas as pd

    from ml_assets.assets.rows import Mask
    from ml_assets.ml.prepare import Prepared

# A feature table, and what there is to say of it.
Table = tuple["pd.DataFrame", list[str]]


def feature_arguments(spec: ModelSpec) -> dict[str, Any]:
    """Arguments of the asset that come from what the YAML says of features."""
    lineage = _lineage(spec)
    return {
        "code_version": provenance.spec_hash(spec, "features", "split", "target")[:12],
        "metadata": {"dagster/column_lineage": lineage} if lineage else {},
    }


@contextlib.contextmanager
def refusing_features() -> Iterator[None]:
    """Columns that do not fit the YAML fail the run, which tries no second time."""
    from ml_assets.ml.identity import IdentityError
    from ml_assets.ml.prepare import FeatureError
    from ml_assets.ml.split import SplitError

    try:
        yield
    except (FeatureError, IdentityError, SplitError) as error:
        raise dg.Failure(str(error), allow_retries=False) from error


def columns_to_keep(spec: ModelSpec) -> list[str]:
    """Columns that are no inputs and are needed all the same."""
    return [spec.split.column] if spec.split.column else []


def without(spec: ModelSpec, keep: list[str]) -> FeaturesSpec:
    """The features of `spec`, which do not take those columns for inputs."""
    return spec.features.model_copy(update={"drop": [*spec.features.drop, *keep]})


def hold_out(spec: ModelSpec, prepared: "Prepared", raw: "pd.DataFrame") -> Table:
    """The prepared table with the mask of the rows that are held out to test.

    Which those are is seen in the raw rows, before anything is dropped or derived.
    """
    from ml_assets.identities import pin_identity
    from ml_assets.ml.identity import Identity
    from ml_assets.ml.split import check_mask, held_out

    table = prepared.table
    if HELD_OUT in table.columns:
        return table, prepared.notes
    rows = labelled(raw, spec.target)
    is_by_rows = spec.split.type == "stratified"
    identity, notes = pin_identity(spec, rows) if is_by_rows else (Identity(()), [])
    mask = held_out(rows, prepared.labels.y, spec.split, identity)
    if notes:
        mask = _as_the_champion(spec, rows, mask)
        check_mask(mask, prepared.labels.y)
    return table.assign(**{HELD_OUT: mask}), [*prepared.notes, *notes]


def _as_the_champion(spec: ModelSpec, cells: "pd.DataFrame", mask: "Mask") -> "Mask":
    """The mask with the champion's rows on the side where that one had them.

    A column is gone by which rows were told apart, and their numbers are others now.
    """
    from ml_assets.serving.store import PlanStore
    from ml_assets.storage import storage_root
    from ml_assets.versions import VersionStore

    plan = PlanStore(storage_root()).current(spec.name)
    if plan is None:
        return mask
    record = VersionStore(storage_root()).get(spec.name, plan.live.version)
    try:
        champion = rows_of(record)
        learnt = is_among(spec, cells, champion, ~champion.test)
        tested = is_among(spec, cells, champion, champion.test)
    except RowsError:
        # Its tables were removed: the comparison will say so.
        return mask
    return (mask | tested) & ~learnt


def finish(
    log: Any, table: "pd.DataFrame", notes: list[str], raw_version: str
) -> dict[str, Any]:
    """Name content and origin of a feature table in its ``attrs``, for the UI too."""
    from ml_assets.ml.tables import content_hash

    for note in notes:
        log.warning(note)
    table.attrs |= {DATA_VERSION: content_hash(table), MADE_OF: raw_version}
    return {
        **table_metadata(table),
        "raw_version": raw_version,
        "held_out_rows": int(table[HELD_OUT].sum()),
        "notes": notes_metadata(notes),
    }


def _lineage(spec: ModelSpec) -> dg.TableColumnLineage | None:
    from ml_assets.ml.expressions import Expression

    raw = key(spec, "raw")
    found = {
        name: [
            dg.TableColumnDep(raw, column) for column in Expression.parse(text).columns
        ]
        for name, text in spec.features.derive.items()
    }
    return dg.TableColumnLineage(found) if found else None
