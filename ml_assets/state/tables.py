"""Tables between assets: immutable Parquet objects named by the hash of their content.

``tables/<model>/<stage>/<data version>.parquet`` is written once. Which one a run made
is a row, so that two runs of a model at once never read each other's data. The current
one is what runs read which made none: of a stage that is checked, the last that was
accepted, while the newest is the last one written.
"""

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import Connection, select

from ml_assets.core.files import below
from ml_assets.core.storage import storage
from ml_assets.records.plan import Kind
from ml_assets.state.engine import writing
from ml_assets.state.rows import delete_rows, fields, matching, read_rows, replace
from ml_assets.state.schema import CURRENT, NEWEST, table_pointers

if TYPE_CHECKING:
    import pandas as pd

DATA_VERSION = "data_version"
PART_ROWS = "part_rows"
# The data version of the raw table that a table was made of.
MADE_OF = "made_of"
# Stages whose tables become current when their checks accept them.
RAW = "raw"
CHECKED = frozenset({RAW})


class TableWriteError(OSError):
    """A table could not be kept; what was there before still is."""


class MissingTableError(FileNotFoundError):
    """The table is not there."""


class NoTableYetError(MissingTableError):
    """The table was never materialized."""


class Pointer(NamedTuple):
    """Which table a run made of a stage, of which raw one, and its Unix seconds."""

    stage: str
    run: str
    data_version: str
    made_of: str | None
    made: float


def table_name(model: str, stage: str, version: str) -> str:
    """Object of one table."""
    return below(Path("tables"), model, stage, f"{version}.parquet").as_posix()


class Tables:
    """The tables of every model: objects, and the rows that point at them."""

    def write(self, model: str, stage: str, run_id: str, frame: "pd.DataFrame") -> str:
        """Keep `frame`, whose ``attrs["data_version"]`` names its content.

        With ``attrs["part_rows"]``, the number of rows of each of its parts, each can
        be read alone by `read_part`.

        Returns
        -------
        str
            Name of the object.

        Raises
        ------
        TableWriteError
            If it cannot be written; no row points at it then.
        """
        version = str(frame.attrs[DATA_VERSION])
        name = table_name(model, stage, version)
        pointer = {DATA_VERSION: version, MADE_OF: frame.attrs.get(MADE_OF)}
        last = NEWEST if stage in CHECKED else CURRENT
        try:
            while True:
                if storage().size(name) is None:
                    _upload(frame, name)
                with writing(model) as connection:
                    # A cleanup may have removed it since: see `remove`.
                    if storage().size(name) is not None:
                        for run in (run_id, last):
                            _point(connection, model, stage, run, pointer)
                        return name
        except OSError as error:
            raise TableWriteError(
                f"table {model}/{stage} cannot be written to {storage().url}:"
                f" {_reason(error)}; make room or mend the storage"
                " (ML_ASSETS_STORAGE), then run again"
            ) from error

    def accept(self, model: str, stage: str, version: str) -> None:
        """Make a table that was checked the current one of its stage.

        Raises
        ------
        MissingTableError
            If it is not there.
        """
        with writing(model) as connection:
            if not self.exists(model, stage, version):
                raise _missing(model, stage, version)
            pointer = {DATA_VERSION: version, MADE_OF: None}
            _point(connection, model, stage, CURRENT, pointer)

    def exists(self, model: str, stage: str, version: str) -> bool:
        """Whether a table is in the storage."""
        return storage().size(table_name(model, stage, version)) is not None

    def read(
        self, model: str, stage: str, version: str, columns: list[str] | None = None
    ) -> "pd.DataFrame":
        """The table of one data version, which its ``attrs`` name."""
        import pandas as pd

        with _opened(model, stage, version) as stream:
            frame = pd.read_parquet(stream, engine="pyarrow", columns=columns)
        frame.attrs[DATA_VERSION] = version
        return frame

    def columns(self, model: str, stage: str, version: str) -> set[str]:
        """The names of a table's columns."""
        from pyarrow import parquet

        with _opened(model, stage, version) as stream:
            return {*parquet.read_schema(stream).names}

    def kinds(self, model: str, stage: str, version: str) -> dict[str, Kind]:
        """What the columns of a table hold, in their order."""
        from pyarrow import parquet

        with _opened(model, stage, version) as stream:
            return {item.name: _kind(item.type) for item in parquet.read_schema(stream)}

    def parts(self, model: str, stage: str, version: str) -> int:
        """How many parts of a table can be read alone."""
        from pyarrow import parquet

        with _opened(model, stage, version) as stream:
            return int(parquet.ParquetFile(stream).num_row_groups)

    def read_part(
        self, model: str, stage: str, version: str, number: int
    ) -> "pd.DataFrame":
        """The rows of one part of a table, counted from 0."""
        import pandas as pd
        from pyarrow import parquet

        with _opened(model, stage, version) as stream:
            part = parquet.ParquetFile(stream).read_row_group(number)
            return pd.DataFrame(part.to_pandas())

    def version(self, model: str, stage: str, *run_ids: str) -> str:
        """The data version that the first of these runs made, else the current one."""
        return self.pointer(model, stage, *run_ids)[DATA_VERSION]

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

        Raises
        ------
        NoTableYetError
            If there is none.
        """
        row = table_pointers.c
        wanted = select(row.run, row.data_version, row.made_of).where(
            matching(table_pointers, model=model, stage=stage),
            row.run.in_([*run_ids, NEWEST, CURRENT]),
        )
        known = {found.run: found for found in read_rows(wanted)}
        for run in (*run_ids, *([NEWEST] if unchecked else []), CURRENT):
            if run in known:
                found = known[run]
                origin = {} if found.made_of is None else {MADE_OF: found.made_of}
                return {DATA_VERSION: found.data_version, **origin}
        if NEWEST in known:
            raise NoTableYetError(
                f"no table {model}/{stage} was accepted yet: its checks have not"
                " passed; run them, or see what they found"
            )
        raise NoTableYetError(
            f"table {model}/{stage} was never materialized; materialize it first"
        )

    def pointers(self, model: str) -> list[Pointer]:
        """Every row that points at a table of a model."""
        wanted = fields(table_pointers, Pointer)
        rows = read_rows(wanted.where(table_pointers.c.model == model))
        return [Pointer(*row) for row in rows]

    def forget(self, model: str, stage: str, run_id: str) -> None:
        """Remove the row of a run, which leaves the table where it is."""
        delete_rows(model, table_pointers, model=model, stage=stage, run=run_id)

    def remove(self, model: str, stage: str, version: str) -> bool:
        """Remove a table unless a row refers to it; whether it is gone."""
        row = table_pointers.c
        same = (row.stage == stage) & (row.data_version == version)
        if stage == RAW:
            same |= row.made_of == version
        # Who finds the table there points at it in a transaction on the same subject.
        with writing(model) as connection:
            wanted = select(row.run).where(row.model == model, same).limit(1)
            if connection.scalar(wanted) is not None:
                return False
            storage().remove([table_name(model, stage, version)])
        return True


def _point(
    connection: Connection, model: str, stage: str, run: str, pointer: dict[str, Any]
) -> None:
    key = {"model": model, "stage": stage, "run": run}
    replace(connection, table_pointers, **key, **pointer, made=time.time())


@contextmanager
def _opened(model: str, stage: str, version: str) -> Iterator[IO[bytes]]:
    try:
        stream = storage().open(table_name(model, stage, version))
    except FileNotFoundError as error:
        raise _missing(model, stage, version) from error
    with stream:
        yield stream


def _missing(model: str, stage: str, version: str) -> MissingTableError:
    return MissingTableError(
        f"table {model}/{stage} of data version {version[:12]} is not in the storage"
        f" ({storage().url}/{table_name(model, stage, version)}); materialize"
        f" {model}/{stage} again"
    )


def _kind(column: Any) -> Kind:
    from pyarrow import types

    if types.is_boolean(column):
        return "boolean"
    if types.is_integer(column):
        return "integer"
    return "number" if types.is_floating(column) else "string"


def _upload(frame: "pd.DataFrame", name: str) -> None:
    with tempfile.TemporaryDirectory(prefix="ml-assets-") as directory:
        path = Path(directory) / "table.parquet"
        _write_parquet(frame, path)
        storage().upload(name, path)


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
