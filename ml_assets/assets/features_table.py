"""What the feature table is, whether it was made at once or in pieces."""

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import dagster as dg

from ml_assets.assets.common import key, notes_metadata, table_metadata
from ml_assets.core import provenance
from ml_assets.spec.model import ModelSpec
from ml_assets.spec.reserved import HELD_OUT
from ml_assets.state.tables import DATA_VERSION, MADE_OF

if TYPE_CHECKING:
    import pandas as pd


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
    from ml_assets.ml.cleaning import FeatureError
    from ml_assets.ml.row_identity import IdentityError
    from ml_assets.ml.split import SplitError

    try:
        yield
    except (FeatureError, IdentityError, SplitError) as error:
        raise dg.Failure(str(error), allow_retries=False) from error


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
    from ml_assets.core.expressions.expression import Expression

    raw = key(spec, "raw")
    found = {
        name: [
            dg.TableColumnDep(raw, column) for column in Expression.parse(text).columns
        ]
        for name, text in spec.features.derive.items()
    }
    return dg.TableColumnLineage(found) if found else None
