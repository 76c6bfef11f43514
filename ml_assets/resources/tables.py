"""Tables between assets: immutable Parquet files named by the hash of their content.

``tables/<model>/<stage>/<data version>.parquet`` is written once. Which one a run made
is noted per run, so that two runs of a model at once never read each other's data.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from ml_assets.serving.plan import Kind
from ml_assets.storage import (
    atomic_path,
    below,
    locked,
    read_json,
    storage_root,
    write_json,
)

if TYPE_CHECKING:
    import pandas as pd

DATA_VERSION = "data_version"
PART_ROWS = "part_rows"


class TableWriteError(OSError):
    """A table could not be kept; what was there before still is."""


class MissingTableError(FileNotFoundError):
    """The table is not there."""


class NoTableYetError(MissingTableError):
    """The table was never materialized."""


class TableStore:
    """Tables under the storage directory `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, model: str, stage: str, version: str) -> Path:
        """File of one table."""
        return below(self.root / "tables", model, stage, f"{version}.parquet")

    def write(self, model: str, stage: str, run_id: str, frame: "pd.DataFrame") -> Path:
        """Keep `frame`, whose ``attrs["data_version"]`` names its content.

        With ``attrs["part_rows"]``, the number of rows of each of its parts, each can
        be read alone by `read_part`.
        """
        version = str(frame.attrs[DATA_VERSION])
        path = self.path(model, stage, version)
        pointer = {DATA_VERSION: version}
        try:
            # A cleanup must not remove a table between its finding and its pointer.
            with locked(path.parent / ".lock"):
                if not path.exists():
                    with atomic_path(path) as temporary:
                        _write_parquet(frame, temporary)
                write_json(below(path.parent / "runs", f"{run_id}.json"), pointer)
                write_json(path.parent / "current.json", pointer)
        except OSError as error:
            raise TableWriteError(
                f"table {model}/{stage} cannot be written to {path.parent}:"
                f" {_reason(error)}; make room or mend the storage"
                " (ML_ASSETS_STORAGE), then run again"
            ) from error
        return path

    def read(
        self, model: str, stage: str, version: str, columns: list[str] | None = None
    ) -> "pd.DataFrame":
        """The table of one data version, which its ``attrs`` name."""
        import pandas as pd

        path = self._existing(model, stage, version)
        # A directory called a=b above it is none of the table's columns.
        frame = pd.read_parquet(
            path, engine="pyarrow", columns=columns, partitioning=None
        )
        frame.attrs[DATA_VERSION] = version
        return frame

    def columns(self, model: str, stage: str, version: str) -> set[str]:
        """The names of a table's columns."""
        from pyarrow import parquet

        return {*parquet.read_schema(self._existing(model, stage, version)).names}

    def kinds(self, model: str, stage: str, version: str) -> dict[str, Kind]:
        """What the columns of a table hold, in their order."""
        from pyarrow import parquet, types

        schema = parquet.read_schema(self._existing(model, stage, version))
        kinds: dict[str, Kind] = {}
        for field in schema:
            if types.is_boolean(field.type):
                kinds[field.name] = "boolean"
            elif types.is_integer(field.type):
                kinds[field.name] = "integer"
            else:
                is_number = types.is_floating(field.type)
                kinds[field.name] = "number" if is_number else "string"
        return kinds

    def parts(self, model: str, stage: str, version: str) -> int:
        """How many parts of a table can be read alone."""
        from pyarrow import parquet

        with parquet.ParquetFile(self._existing(model, stage, version)) as file:
            return int(file.num_row_groups)

    def read_part(
        self, model: str, stage: str, version: str, number: int
    ) -> "pd.DataFrame":
        """The rows of one part of a table, counted from 0."""
        import pandas as pd
        from pyarrow import parquet

        with parquet.ParquetFile(self._existing(model, stage, version)) as file:
            return pd.DataFrame(file.read_row_group(number).to_pandas())

    def _existing(self, model: str, stage: str, version: str) -> Path:
        path = self.path(model, stage, version)
        if not path.exists():
            raise MissingTableError(
                f"table {model}/{stage} of data version {version[:12]} is not in the"
                f" storage ({path}); materialize {model}/{stage} again"
            )
        return path

    def version(self, model: str, stage: str, run_id: str) -> str:
        """The data version that the run made, else the newest one; '' is no run."""
        directory = below(self.root / "tables", model, stage)
        made = below(directory / "runs", f"{run_id}.json") if run_id else None
        pointer = (made and read_json(made)) or read_json(directory / "current.json")
        if pointer is None:
            raise NoTableYetError(
                f"table {model}/{stage} was never materialized; materialize it first"
            )
        return str(pointer[DATA_VERSION])


def _write_parquet(frame: "pd.DataFrame", path: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    rows = frame.attrs.get(PART_ROWS)
    if rows is None:
        frame.to_parquet(path, engine="pyarrow", index=False)
        return
    table = pa.Table.from_pandas(frame, preserve_index=False)
    with parquet.ParquetWriter(path, table.schema) as writer:
        start = 0
        for count in rows:
            if count:
                writer.write_table(table.slice(start, count), row_group_size=count)
            start += count


def _reason(error: OSError) -> str:
    # Arrow's own text is about its own function.
    return os.strerror(error.errno) if error.errno else str(error)


class TableIOManager(dg.ConfigurableIOManager):
    """Hands pandas tables from asset to asset through a `TableStore`."""

    def handle_output(self, context: dg.OutputContext, obj: Any) -> None:
        """Write the asset's table."""
        model, stage = context.asset_key.path
        path = TableStore(storage_root()).write(model, stage, context.run_id, obj)
        context.add_output_metadata(
            {
                "path": dg.MetadataValue.path(str(path)),
                "size_bytes": path.stat().st_size,
            }
        )

    def load_input(self, context: dg.InputContext) -> "pd.DataFrame | None":
        """Read the upstream asset's table; None where it was never materialized."""
        model, stage = context.asset_key.path
        store = TableStore(storage_root())
        try:
            version = store.version(model, stage, context.step_context.run_id)
        except NoTableYetError:
            return None
        return store.read(model, stage, version)
