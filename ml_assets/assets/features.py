"""``<model>/features``: the rows as training sees them, and which are held out."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import dagster as dg

from ml_assets.assets import features_parts
from ml_assets.assets.common import TABLES, key, skipped, stage_arguments
from ml_assets.assets.features_table import HELD_OUT as HELD_OUT
from ml_assets.assets.features_table import (
    columns_to_keep,
    feature_arguments,
    finish,
    hold_out,
    refusing_features,
    without,
)
from ml_assets.assets.validation import refuse_failed
from ml_assets.model import ModelSpec
from ml_assets.resources.tables import DATA_VERSION
from ml_assets.storage import home

if TYPE_CHECKING:
    import pandas as pd


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


def feature_table(
    spec: ModelSpec, raw: "pd.DataFrame"
) -> tuple["pd.DataFrame", list[str]]:
    """The feature table with its mask of held-out rows, and notes on its changes."""
    from ml_assets.classes import pinned_classes
    from ml_assets.ml.prepare import prepare
    from ml_assets.ml.split import with_test_rows

    keep = columns_to_keep(spec)
    if spec.split.source is not None:
        from ml_assets.ml.sources import read_source

        raw, mask = with_test_rows(
            raw, read_source(spec.split.source, home() / "cache")
        )
        raw = raw.assign(**{HELD_OUT: mask})
        keep = [HELD_OUT, *keep]
    features = without(spec, keep)
    prepared = prepare(
        raw, features, spec.target, spec.positive, keep, pinned_classes(spec)
    )
    return hold_out(spec, prepared, raw)
