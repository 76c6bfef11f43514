"""Parquet files."""

from typing import Any

import pandas as pd

from ml_assets.ml.sources.csv_reader import Opener
from ml_assets.ml.tables import SourceError

MAGIC = b"PAR1"


def read_parquet(open_file: Opener, name: str) -> pd.DataFrame:
    """Read one Parquet file; `name` is what errors call it.

    Raises
    ------
    SourceError
        It is no Parquet file.
    """
    table = _read(name, open_file)
    # A pandas index was written as columns with these names: it is no data.
    unnamed = [name for name in table.column_names if name.startswith("__index_level_")]
    frame = table.drop_columns(unnamed).to_pandas(
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
