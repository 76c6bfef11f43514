"""``<model>/raw``, each file of the source read by a step of its own."""

from typing import Any

import dagster as dg

from ml_assets.assets.common import TABLES, stage_arguments
from ml_assets.assets.ingestion_source import IngestionConfig, accept, refusing_data
from ml_assets.assets.steps import each, says, step_arguments
from ml_assets.core.storage import storage_root
from ml_assets.spec.model import ModelSpec
from ml_assets.spec.source import SourceSpec
from ml_assets.state.tables import DATA_VERSION, PART_ROWS, TableStore

STAGE = "raw_parts"
FILES = ("csv", "parquet")


def raw(spec: ModelSpec) -> dg.AssetsDefinition:
    """The asset: list the files, read each, and make one table of them.

    The table, and with it the data version, is that of reading all files at once.
    """
    find, read, join = _find(spec), _read(spec), _join(spec)

    @dg.config_mapping
    def one_source(value: IngestionConfig) -> dict[str, Any]:
        given = {"config": {"source": value.source}} if value.source else {}
        return {op.name: given for op in (find, read, join)}

    @dg.graph_asset(
        **stage_arguments(spec, "raw", spec.source.type, "pandas"),
        description=(
            f"Rows of {spec.name} as the files of its {spec.source.type} source gave"
            " them, each read by a step of its own."
        ),
        config=one_source,
    )
    def raw() -> Any:
        return join(find().map(read).collect())

    return raw


def _find(spec: ModelSpec) -> dg.OpDefinition:
    @dg.op(
        **step_arguments(spec, "raw_find"),
        description="The files of the source, in the order of their names.",
        out=dg.DynamicOut(**says(spec)),
    )
    def find(config: IngestionConfig) -> Any:
        from ml_assets.ml.sources import part_names

        with refusing_data():
            names = part_names(_source(config, spec))
        yield from each((name, name) for name in names)

    return find


def _read(spec: ModelSpec) -> dg.OpDefinition:
    @dg.op(
        **step_arguments(spec, "raw_read"),
        description="One file, kept under the hash of its content.",
        out=dg.Out(**says(spec)),
    )
    def read(context: dg.OpExecutionContext, config: IngestionConfig, name: str) -> Any:
        from ml_assets.ml.sources import read_part
        from ml_assets.ml.tables import content_hash

        with refusing_data():
            frame = read_part(_source(config, spec), name)
        frame.attrs[DATA_VERSION] = content_hash(frame)
        mark = f"{context.run_id}-{context.get_mapping_key()}"
        TableStore(storage_root()).write(spec.name, STAGE, mark, frame)
        context.add_output_metadata({"rows": len(frame), "file": name})
        return {"name": name, DATA_VERSION: frame.attrs[DATA_VERSION]}

    return read


def _join(spec: ModelSpec) -> dg.OpDefinition:
    @dg.op(
        **step_arguments(spec, "raw_join"),
        description="The rows of all files, one file below the other.",
        out=dg.Out(io_manager_key=TABLES),
    )
    def join(config: IngestionConfig, parts: list[dict[str, str]]) -> dg.Output[Any]:
        from ml_assets.ml import sources

        source, store = _source(config, spec), TableStore(storage_root())
        frames = [
            (part["name"], store.read(spec.name, STAGE, part[DATA_VERSION]))
            for part in sorted(parts, key=lambda part: part["name"])
        ]
        with refusing_data():
            frame = sources.join(source, frames)
        metadata = accept(spec, source, frame)
        frame.attrs[PART_ROWS] = [len(part) for _, part in frames]
        return dg.Output(
            frame,
            data_version=dg.DataVersion(frame.attrs[DATA_VERSION]),
            metadata={**metadata, "parts": len(frames)},
        )

    return join


def _source(config: IngestionConfig, spec: ModelSpec) -> SourceSpec:
    source = config.resolve(spec)
    if source.type not in FILES:
        raise dg.Failure(
            f"the source of {spec.name} is read file by file, which type"
            f" '{source.type}' does not have: give this run a csv or parquet source",
            allow_retries=False,
        )
    return source
