"""What the feature table is, whether it was made at once or in pieces."""

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import dagster as dg

from ml_assets import provenance
from ml_assets.assets.common import key, notes_metadata, table_metadata
from ml_assets.model import FeaturesSpec, ModelSpec
from ml_assets.reserved import HELD_OUT as HELD_OUT
from ml_assets.resources.tables import DATA_VERSION, MADE_OF

if TYPE_CHECKING:
    import pandas as pd

    from ml_assets.ml.prepare import Prepared


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
    from ml_assets.ml.prepare import FeatureError
    from ml_assets.ml.split import SplitError

    try:
        yield
    except (FeatureError, SplitError) as error:
        raise dg.Failure(str(error), allow_retries=False) from error


def columns_to_keep(spec: ModelSpec) -> list[str]:
    """Columns that are no inputs and are needed all the same."""
    return [spec.split.column] if spec.split.column else []


def without(spec: ModelSpec, keep: list[str]) -> FeaturesSpec:
    """The features of `spec`, which do not take those columns for inputs."""
    return spec.features.model_copy(update={"drop": [*spec.features.drop, *keep]})


def hold_out(spec: ModelSpec, prepared: "Prepared") -> "pd.DataFrame":
    """The prepared table with the mask of the rows that are held out to test."""
    from ml_assets.ml.split import held_out

    table = prepared.table
    if HELD_OUT in table.columns:
        return table
    content = [name for name in table.columns if name not in spec.features.derive]
    mask = held_out(table[content], prepared.labels.y, spec.split)
    return table.assign(**{HELD_OUT: mask})


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
