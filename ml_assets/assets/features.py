"""``<model>/features``: the rows as training sees them, and which are held out."""

from typing import TYPE_CHECKING, Any

import dagster as dg

from ml_assets import provenance
from ml_assets.assets.common import TABLES, key, stage_arguments, table_metadata
from ml_assets.model import ModelSpec
from ml_assets.resources.tables import DATA_VERSION
from ml_assets.storage import home

if TYPE_CHECKING:
    import pandas as pd

HELD_OUT = "__held_out__"


def build(spec: ModelSpec) -> dg.Definitions:
    """The asset that drops, retypes, derives and splits."""

    @dg.asset(
        **stage_arguments(spec, "features", "pandas"),
        description=(
            f"Rows of {spec.name} with their derived columns, and which of them are"
            " held out to test."
        ),
        ins={"raw": dg.AssetIn(key(spec, "raw"), input_manager_key=TABLES)},
        io_manager_key=TABLES,
        code_version=provenance.spec_hash(spec, "features", "split", "target")[:12],
        metadata={"dagster/column_lineage": _lineage(spec)} if _lineage(spec) else {},
    )
    def features(context: dg.AssetExecutionContext, raw: Any) -> dg.MaterializeResult:
        from ml_assets.ml.prepare import FeatureError
        from ml_assets.ml.split import SplitError
        from ml_assets.ml.tables import content_hash

        try:
            table, notes = feature_table(spec, raw)
        except (FeatureError, SplitError) as error:
            raise dg.Failure(str(error), allow_retries=False) from error
        for note in notes:
            context.log.warning(note)
        version = content_hash(table)
        table.attrs[DATA_VERSION] = version
        return dg.MaterializeResult(
            value=table,
            data_version=dg.DataVersion(version),
            metadata={
                **table_metadata(table),
                "held_out_rows": int(table[HELD_OUT].sum()),
                "notes": dg.MetadataValue.md("\n".join(f"- {note}" for note in notes)),
            },
        )

    return dg.Definitions(assets=[features])


def feature_table(
    spec: ModelSpec, raw: "pd.DataFrame"
) -> tuple["pd.DataFrame", list[str]]:
    """The feature table with its mask of held-out rows, and notes on its changes."""
    from ml_assets.ml.prepare import encode_target, prepare
    from ml_assets.ml.split import held_out, with_test_rows

    mask = None
    if spec.split.source is not None:
        from ml_assets.ml.sources import read_source

        raw, mask = with_test_rows(
            raw, read_source(spec.split.source, home() / "cache")
        )
        raw = raw.assign(**{HELD_OUT: mask})
    keep = [HELD_OUT] if mask is not None else []
    keep += [spec.split.column] if spec.split.column else []
    drop = [*spec.features.drop, *keep]
    features = spec.features.model_copy(update={"drop": drop})
    prepared = prepare(raw, features, spec.target, spec.positive, keep=keep)
    table = prepared.table
    if mask is None:
        content = [name for name in table.columns if name not in spec.features.derive]
        y = encode_target(table[spec.target], spec.positive).y
        table = table.assign(**{HELD_OUT: held_out(table[content], y, spec.split)})
    return table, prepared.notes


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
