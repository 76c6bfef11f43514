"""Parquet files."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from ml_assets.ml.sources.errors import SourceError
from ml_assets.ml.sources.text_faults import Opener

MAGIC = b"PAR1"


def read_parquet(files: Sequence[tuple[str, Opener]]) -> pd.DataFrame:
    """Read Parquet files, each given by name and opener, as one table.

    Raises
    ------
    SourceError
        A file is no Parquet file, or its columns are not those of the first.
    """
    import pyarrow as pa

    tables: list[Any] = []
    for name, open_file in files:
        table = _read(name, open_file)
        if tables and table.column_names != tables[0].column_names:
            unlike = sorted({*table.column_names} ^ {*tables[0].column_names})
            raise SourceError(
                f"{name}: its columns are not those of {files[0][0]}"
                f" ({', '.join(unlike) or 'in another order'})"
            )
        tables.append(table)
    try:
        whole = pa.concat_tables(tables, promote_options="permissive")
    except pa.ArrowException as error:
        raise SourceError(f"{files[0][0]} and those beside it: {error}") from None
    # A pandas index was written as columns with these names: it is no data.
    unnamed = [name for name in whole.column_names if name.startswith("__index_level_")]
    frame = whole.drop_columns(unnamed).to_pandas(
        strings_to_categorical=True, ignore_metadata=True
    )
    return pd.DataFrame(frame)


def _read(name: str, open_file: Opener) -> Any:
    import pyarrow as pa
    from pyarrow import parquet

    with open_file() as stream:
        head = stream.read(len(MAGIC))
        if not head:
            raise SourceError(f"{name} is empty (0 bytes)")
        if head != MAGIC:
            raise SourceError(f"{name} is not a Parquet file (it does not start so)")
        stream.seek(0)
        try:
            return parquet.read_table(stream)
        except (pa.ArrowException, OSError) as error:
            reason = str(error).splitlines()[0]
            raise SourceError(f"{name} cannot be read as Parquet: {reason}") from None
