"""``<model>/raw``: the rows as the source gave them."""

import dagster as dg

from ml_assets.assets import ingestion_parts
from ml_assets.assets.common import TABLES, stage_arguments
from ml_assets.assets.ingestion_source import IngestionConfig, accept, refusing_data
from ml_assets.core.storage import home
from ml_assets.spec.model import ModelSpec
from ml_assets.state.tables import DATA_VERSION


def build(spec: ModelSpec) -> dg.Definitions:
    """The asset that reads the source."""
    if spec.source.parallel:
        return dg.Definitions(assets=[ingestion_parts.raw(spec)])

    @dg.asset(
        **stage_arguments(spec, "raw", spec.source.type, "pandas"),
        description=f"Rows of {spec.name} as its {spec.source.type} source gave them.",
        io_manager_key=TABLES,
    )
    def raw(config: IngestionConfig) -> dg.MaterializeResult:
        from ml_assets.ml.sources import read_source

        source = config.resolve(spec)
        with refusing_data():
            frame = read_source(source, home() / "cache")
        metadata = accept(spec, source, frame)
        return dg.MaterializeResult(
            value=frame,
            data_version=dg.DataVersion(frame.attrs[DATA_VERSION]),
            metadata=metadata,
        )

    return dg.Definitions(assets=[raw])
