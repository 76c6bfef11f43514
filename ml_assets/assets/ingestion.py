"""``<model>/raw``: the rows as the source gave them."""

from typing import Any

import dagster as dg
from pydantic import Field, ValidationError

from ml_assets.assets.common import TABLES, stage_arguments, table_metadata
from ml_assets.model import ModelSpec, SourceSpec
from ml_assets.storage import home


class IngestionConfig(dg.Config):
    """Options of a run."""

    source: dict[str, Any] | None = Field(
        None, description="another data source for this run, with the keys of the YAML"
    )

    def resolve(self, default: SourceSpec) -> SourceSpec:
        """The source that this run reads."""
        if self.source is None:
            return default
        try:
            return SourceSpec.model_validate(self.source)
        except ValidationError as error:
            # The error's own text repeats what was given, and with it any secret.
            faults = error.errors(include_input=False, include_context=False)
            told = "; ".join(_fault(fault["loc"], fault["msg"]) for fault in faults)
        raise dg.Failure(f"the run's source is not valid: {told}", allow_retries=False)


def build(spec: ModelSpec) -> dg.Definitions:
    """The asset that reads the source."""

    @dg.asset(
        **stage_arguments(spec, "raw", spec.source.type, "pandas"),
        description=f"Rows of {spec.name} as its {spec.source.type} source gave them.",
        io_manager_key=TABLES,
    )
    def raw(config: IngestionConfig) -> dg.MaterializeResult:
        from ml_assets.ml.sources import read_source
        from ml_assets.ml.tables import DataError, check_target, content_hash

        source = config.resolve(spec.source)
        try:
            frame = read_source(source, home() / "cache")
            check_target(frame, spec.target)
        except DataError as error:
            raise dg.Failure(str(error), allow_retries=False) from error
        version = content_hash(frame)
        frame.attrs["data_version"] = version
        return dg.MaterializeResult(
            value=frame,
            data_version=dg.DataVersion(version),
            metadata={
                **table_metadata(frame),
                "source": dg.MetadataValue.json(shown(source)),
            },
        )

    return dg.Definitions(assets=[raw])


def shown(source: SourceSpec) -> dict[str, Any]:
    """What the UI shows of a source: as it was written, without a password."""
    from ml_assets.ml.sources.environment import hide_password

    given = source.model_dump(mode="json", exclude_unset=True)
    return {
        name: hide_password(value) if isinstance(value, str) else value
        for name, value in given.items()
    }


def _fault(place: tuple[int | str, ...], message: str) -> str:
    where = ".".join(map(str, place))
    return f"{where}: {message}" if where else message
