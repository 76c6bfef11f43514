"""``<model>/raw``: the rows as the source gave them, read at once or file by file."""

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import Field, ValidationError

from ml_assets.assets.common import TABLES, stage_arguments, table_metadata
from ml_assets.assets.retries import failing_on
from ml_assets.assets.steps import fan_out, step_arguments, step_output
from ml_assets.core.files import home
from ml_assets.spec.model import ModelSpec
from ml_assets.spec.reserved import reserved
from ml_assets.spec.source import SourceSpec
from ml_assets.state.tables import DATA_VERSION, PART_ROWS, Tables

if TYPE_CHECKING:
    import pandas as pd

# Tables of single files, between the steps that read and join them.
PARTS = "raw_parts"
# Source types that have files which can be read one by one.
FILES = ("csv", "parquet")


class IngestionConfig(dg.Config):
    """Options of a run."""

    source: dict[str, Any] | None = Field(
        None, description="another data source for this run, with the keys of the YAML"
    )

    def resolve(self, spec: ModelSpec) -> SourceSpec:
        """The source that this run reads: that of the YAML, or one that it permits."""
        from ml_assets.ml.sources.runtime_sources import refusal

        if self.source is None:
            return spec.source
        try:
            source = SourceSpec.model_validate(self.source)
            fault = refusal(source, spec.source, spec.runtime_sources)
            if not fault:
                return source
        except ValidationError as error:
            # The error's own text repeats what was given, and with it any secret.
            errors = error.errors(include_input=False, include_context=False)
            fault = "; ".join(_located(item["loc"], item["msg"]) for item in errors)
        raise dg.Failure(f"the run's source is refused: {fault}", allow_retries=False)

    def resolve_files(self, spec: ModelSpec) -> SourceSpec:
        """The same, which has to consist of files."""
        source = self.resolve(spec)
        if source.type not in FILES:
            raise dg.Failure(
                f"the source of {spec.name} is read file by file, which type"
                f" '{source.type}' does not have: give this run a csv or parquet"
                " source",
                allow_retries=False,
            )
        return source


def build(spec: ModelSpec) -> dg.Definitions:
    """The asset that reads the source."""
    asset = _raw_of_files(spec) if spec.source.parallel else _raw(spec)
    return dg.Definitions(assets=[asset])


def _raw(spec: ModelSpec) -> Any:
    @dg.asset(
        **stage_arguments(spec, "raw", spec.source.type, "pandas"),
        description=f"Rows of {spec.name} as its {spec.source.type} source gave them.",
        io_manager_key=TABLES,
    )
    def raw(config: IngestionConfig) -> dg.MaterializeResult:
        from ml_assets.ml.sources import read_source

        source = config.resolve(spec)
        with _failing_on_bad_data():
            frame = read_source(source, home() / "cache", columns=spec.columns)
        metadata = accept(spec, source, frame)
        return dg.MaterializeResult(
            value=frame,
            data_version=dg.DataVersion(frame.attrs[DATA_VERSION]),
            metadata=metadata,
        )

    return raw


def _raw_of_files(spec: ModelSpec) -> dg.AssetsDefinition:
    """The asset as steps: list the files, read each, and make one table of them.

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
        out=dg.DynamicOut(**step_output(spec)),
    )
    def find(config: IngestionConfig) -> Any:
        from ml_assets.ml.sources import part_names

        with _failing_on_bad_data():
            names = part_names(config.resolve_files(spec))
        yield from fan_out((name, name) for name in names)

    return find


def _read(spec: ModelSpec) -> dg.OpDefinition:
    @dg.op(
        **step_arguments(spec, "raw_read"),
        description="One file, stored under the hash of its content.",
        out=dg.Out(**step_output(spec)),
    )
    def read(context: dg.OpExecutionContext, config: IngestionConfig, name: str) -> Any:
        from ml_assets.ml.sources import read_part
        from ml_assets.ml.tables import content_hash

        with _failing_on_bad_data():
            frame = read_part(config.resolve_files(spec), name, spec.columns)
        frame.attrs[DATA_VERSION] = content_hash(frame)
        mark = f"{context.run_id}-{context.get_mapping_key()}"
        Tables().write(spec.name, PARTS, mark, frame)
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

        source, store = config.resolve_files(spec), Tables()
        frames = [
            (part["name"], store.read(spec.name, PARTS, part[DATA_VERSION]))
            for part in sorted(parts, key=lambda part: part["name"])
        ]
        with _failing_on_bad_data():
            frame = sources.join(source, frames)
        metadata = accept(spec, source, frame)
        frame.attrs[PART_ROWS] = [len(part) for _, part in frames]
        return dg.Output(
            frame,
            data_version=dg.DataVersion(frame.attrs[DATA_VERSION]),
            metadata={**metadata, "parts": len(frames)},
        )

    return join


def accept(
    spec: ModelSpec, source: SourceSpec, frame: "pd.DataFrame"
) -> dict[str, Any]:
    """Check a raw table and name its content in its ``attrs``; metadata for the UI."""
    from ml_assets.ml.tables import NAMELESS, DataError, check_target, content_hash

    # A source that is given for one run need not repeat what the YAML has.
    may_lack = "drop" in (source.unlabelled, spec.source.unlabelled)
    with _failing_on_bad_data():
        clash = reserved(spec, frame.columns)
        if clash:
            raise DataError(clash)
        check_target(frame, spec.target, may_lack, spec.task)
    declared = [name for name in spec.columns if name in frame.columns]
    text_numbers = _numbers_in_texts(frame.drop(columns=[spec.target, *declared]))
    for warning in text_numbers:
        dg.get_dagster_logger().warning(warning)
    empty = [str(name) for name in frame.columns if frame[name].isna().all()]
    frame.attrs[DATA_VERSION] = content_hash(frame)
    return {
        **table_metadata(frame),
        "source": dg.MetadataValue.json(_without_password(source)),
        "columns_without_name": int(frame.attrs.pop(NAMELESS, 0)),
        "columns_without_value": ", ".join(empty) or "none",
        "numbers_in_texts": "; ".join(text_numbers) or "none",
        "rows_without_target": int(frame[spec.target].isna().sum()),
    }


def _failing_on_bad_data() -> AbstractContextManager[None]:
    """Data that cannot be used fails the run."""
    from ml_assets.ml.tables import DataError

    return failing_on(DataError)


def _numbers_in_texts(frame: "pd.DataFrame") -> list[str]:
    """A warning for each column of texts in which there are numbers all the same."""
    from ml_assets.ml.sources.csv_numbers import formatted_numbers

    found = []
    for name in frame.select_dtypes("category"):
        number, cells = formatted_numbers(frame[name]), int(frame[name].notna().sum())
        if number:
            found.append(
                f"column '{name}' is text, and {number:,} of its {cells:,} values are"
                " numbers: read.decimal and read.thousands say how they are written,"
                " and features.numeric takes what is no number as missing"
            )
    return found


def _without_password(source: SourceSpec) -> dict[str, Any]:
    """A source as it was written, for the UI."""
    from ml_assets.ml.sources.environment import hide_password

    given = source.model_dump(mode="json", exclude_unset=True)
    return {
        name: hide_password(value) if isinstance(value, str) else value
        for name, value in given.items()
    }


def _located(location: tuple[int | str, ...], message: str) -> str:
    key = ".".join(map(str, location))
    return f"{key}: {message}" if key else message
