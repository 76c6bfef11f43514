"""Tables between assets: immutable Parquet files named by the hash of their content.

``tables/<model>/<stage>/<data version>.parquet`` is written once. Which one a run made
is recorded per run, so that two runs of a model at once never read each other's data.
``current.json`` names the one that runs read which made none: of a stage that is
checked, the last that was accepted, while ``newest.json`` names the last one written.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from ml_assets.core.files import (
    atomic_path,
    below,
    locked,
    read_json,
    write_json,
)
from ml_assets.records.plan import Kind

if TYPE_CHECKING:
    import pandas as pd

DATA_VERSION = "data_version"
PART_ROWS = "part_rows"
# The data version of the raw table that a table was made of.
MADE_OF = "made_of"
# Stages whose tables become current when their checks accept them.
CHECKED = frozenset({"raw"})


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

    def validation_report(self, model: str, version: str) -> Path:
        """File of the validation report of one raw table."""
        reports = below(self.root / "reports", model)
        return below(reports / "validation", f"{version}.json")

    def write(self, model: str, stage: str, run_id: str, frame: "pd.DataFrame") -> Path:
        """Keep `frame`, whose ``attrs["data_version"]`` names its content.

        With ``attrs["part_rows"]``, the number of rows of each of its parts, each can
        be read alone by `read_part`.
        """
        version = str(frame.attrs[DATA_VERSION])
        path = self.path(model, stage, version)
        pointer = {
            name: str(frame.attrs[name])
            for name in (DATA_VERSION, MADE_OF)
            if name in frame.attrs
        }
        last = "newest.json" if stage in CHECKED else "current.json"
        try:
            # A cleanup must not remove a table between its finding and its pointer.
            with locked(path.parent / ".lock"):
                if not path.exists():
                    with atomic_path(path) as temporary:
                        _write_parquet(frame, temporary)
                write_json(below(path.parent / "runs", f"{run_id}.json"), pointer)
                write_json(path.parent / last, pointer)
        except OSError as error:
            raise TableWriteError(
                f"table {model}/{stage} cannot be written to {path.parent}:"
                f" {_reason(error)}; make room or mend the storage"
                " (ML_ASSETS_STORAGE), then run again"
            ) from error
        return path

    def accept(self, model: str, stage: str, version: str) -> None:
        """Make a table that was checked the current one of its stage."""
        directory = self._existing(model, stage, version).parent
        with locked(directory / ".lock"):
            write_json(directory / "current.json", {DATA_VERSION: version})

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

    def version(self, model: str, stage: str, *run_ids: str) -> str:
        """The data version that the first of these runs made, else the current one."""
        return str(self.pointer(model, stage, *run_ids)[DATA_VERSION])

    def pointer(
        self, model: str, stage: str, *run_ids: str, unchecked: bool = False
    ) -> dict[str, str]:
        """The data version, and what it was made of, where that is known.

        Parameters
        ----------
        *run_ids : str
            Runs whose table is wanted: a run, and those that it takes up again.
        unchecked : bool
            Where no run made one, take the last one written, accepted or not.
        """
        directory = below(self.root / "tables", model, stage)
        paths = [below(directory / "runs", f"{run_id}.json") for run_id in run_ids]
        paths += [directory / "newest.json"] if unchecked else []
        for path in (*paths, directory / "current.json"):
            pointer: dict[str, str] | None = read_json(path)
            if pointer is not None:
                return pointer
        if (directory / "newest.json").exists():
            raise NoTableYetError(
                f"no table {model}/{stage} was accepted yet: its checks have not"
                " passed; run them, or see what they found"
            )
        raise NoTableYetError(
            f"table {model}/{stage} was never materialized; materialize it first"
        )


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
