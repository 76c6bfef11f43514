"""``<model>/features``: the rows as training sees them, and which are held out."""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from ml_assets.assets import features_parts
from ml_assets.assets.common import TABLES, key, skipped, stage_arguments
from ml_assets.assets.features_table import feature_arguments, finish, refusing_features
from ml_assets.assets.validation import refuse_failed
from ml_assets.lifecycle.feature_table import feature_table
from ml_assets.spec.model import ModelSpec
from ml_assets.state.tables import DATA_VERSION


def build(spec: ModelSpec) -> dg.Definitions:
    """The asset that drops, retypes, derives and splits."""
    # Test rows of another source have no part to go with.
    if spec.source.parallel and spec.split.source is None:
        return dg.Definitions(assets=[features_parts.features(spec)])

    @dg.asset(
        **stage_arguments(spec, "features", "pandas"),
        **feature_arguments(spec),
        description=(
            f"Rows of {spec.name} with their derived columns, and which of them are"
            " held out to test."
        ),
        ins={"raw": dg.AssetIn(key(spec, "raw"), input_manager_key=TABLES)},
        io_manager_key=TABLES,
        output_required=False,
    )
    def features(
        context: dg.AssetExecutionContext, raw: Any
    ) -> Iterator[dg.MaterializeResult | dg.AssetObservation]:
        if raw is None:
            yield skipped(
                spec, "features", f"no data of {spec.name}/raw was accepted yet"
            )
            return
        version = str(raw.attrs[DATA_VERSION])
        refuse_failed(spec.name, version)
        with refusing_features():
            table, notes = feature_table(spec, raw)
        metadata = finish(context.log, table, notes, version)
        yield dg.MaterializeResult(
            value=table,
            data_version=dg.DataVersion(table.attrs[DATA_VERSION]),
            metadata=metadata,
        )

    return dg.Definitions(assets=[features])
