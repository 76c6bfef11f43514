"""The rows that were predicted for, as the log holds them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from ml_assets.records.plan import Signature

if TYPE_CHECKING:
    import pandas as pd


def inputs(texts: Sequence[str], signature: Signature) -> "pd.DataFrame":
    """The rows that the column ``x`` holds, typed by the signature."""
    import pandas as pd

    decode = msgspec.json.Decoder(list[Any]).decode
    rows = [decode(text) for text in texts]
    frame = pd.DataFrame(rows, columns=[item.name for item in signature.columns])
    for column in signature.columns:
        if column.kind in ("number", "integer"):
            frame[column.name] = frame[column.name].astype("float64")
    return frame
