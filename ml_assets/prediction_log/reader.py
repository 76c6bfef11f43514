"""What the Parquet files of the log hold, and the rows that were predicted for."""

from collections.abc import Sequence
from typing import IO, TYPE_CHECKING, Any

from ml_assets.core.decoding import decoder
from ml_assets.records.plan import Signature

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


def read_table(
    stream: IO[bytes], columns: Sequence[str], filters: Sequence[tuple[str, str, Any]]
) -> "pa.Table":
    """Columns of one Parquet file of the log, null where an older release had none.

    Parameters
    ----------
    columns : sequence of str
    filters : sequence of tuple
        Of column, operator and value; all must hold.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    types = {
        "probabilities": pa.list_(pa.float64()),
        "value": pa.float64(),
        "caller": pa.string(),
        "own": pa.bool_(),
    }
    known = set(pq.read_schema(stream).names)
    stream.seek(0)
    wanted = [name for name in columns if name in known or name not in types]
    table = pq.read_table(stream, columns=wanted, filters=[*filters], partitioning=None)
    for name in columns:
        if name not in wanted:
            table = table.append_column(name, pa.nulls(len(table), types[name]))
    return table.select([*columns])


def inputs(texts: Sequence[str], signature: Signature) -> "pd.DataFrame":
    """The rows that the column ``x`` holds, typed by the signature."""
    import pandas as pd

    decode = decoder(list[Any]).decode
    rows = [decode(text) for text in texts]
    frame = pd.DataFrame(rows, columns=[item.name for item in signature.columns])
    for column in signature.columns:
        if column.kind in ("number", "integer"):
            frame[column.name] = frame[column.name].astype("float64")
    return frame
