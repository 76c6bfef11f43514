"""The source that a run reads, and what is asked of the table that comes of it."""

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import Field, ValidationError

from ml_assets.assets.common import table_metadata
from ml_assets.spec.model import ModelSpec
from ml_assets.spec.reserved import reserved
from ml_assets.spec.source import SourceSpec
from ml_assets.state.tables import DATA_VERSION

if TYPE_CHECKING:
    import pandas as pd


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
            told = refusal(source, spec.source, spec.runtime_sources)
            if not told:
                return source
        except ValidationError as error:
            # The error's own text repeats what was given, and with it any secret.
            faults = error.errors(include_input=False, include_context=False)
            told = "; ".join(_fault(fault["loc"], fault["msg"]) for fault in faults)
        raise dg.Failure(f"the run's source is refused: {told}", allow_retries=False)


@contextlib.contextmanager
def refusing_data() -> Iterator[None]:
    """Data that cannot be used fails the run, which tries no second time."""
    from ml_assets.ml.tables import DataError

    try:
        yield
    except DataError as error:
        raise dg.Failure(str(error), allow_retries=False) from error


def accept(
    spec: ModelSpec, source: SourceSpec, frame: "pd.DataFrame"
) -> dict[str, Any]:
    """Name the content of a raw table in its ``attrs``; what the UI shows of it."""
    from ml_assets.ml.tables import NAMELESS, DataError, check_target, content_hash

    # A source that is given for one run need not say again what the YAML says.
    may_lack = "drop" in (source.unlabelled, spec.source.unlabelled)

    with refusing_data():
        taken = reserved(spec, frame.columns)
        if taken:
            raise DataError(taken)
        check_target(frame, spec.target, may_lack)
    dressed = _numbers_in_texts(frame.drop(columns=spec.target))
    for told in dressed:
        dg.get_dagster_logger().warning(told)
    empty = [str(name) for name in frame.columns if frame[name].isna().all()]
    frame.attrs[DATA_VERSION] = content_hash(frame)
    return {
        **table_metadata(frame),
        "source": dg.MetadataValue.json(shown(source)),
        "columns_without_name": int(frame.attrs.pop(NAMELESS, 0)),
        "columns_without_value": ", ".join(empty) or "none",
        "numbers_in_texts": "; ".join(dressed) or "none",
        "rows_without_target": int(frame[spec.target].isna().sum()),
    }


def _numbers_in_texts(frame: "pd.DataFrame") -> list[str]:
    """What to say of columns that are texts, and hold numbers all the same."""
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
