"""Between request values and the DataFrame that a scikit-learn pipeline takes."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from ml_assets.records.plan import Column, Signature


def frame_of(signature: Signature, columns: Sequence[Sequence[Any]]) -> pd.DataFrame:
    """The inputs among request columns, as types that do not depend on the values.

    Numbers and integers become float64, strings ``str``, and booleans bool, or object
    where the column may be missing.

    Examples
    --------
    >>> from ml_assets.records.plan import Column, Signature
    >>> columns = (Column(name="age", kind="integer", nullable=True),)
    >>> signature = Signature(columns=columns, target="y", negative=0, positive=1)
    >>> frame_of(signature, [[39, None]]).age.tolist()
    [39.0, nan]
    """
    return pd.DataFrame(
        {
            column.name: _series(column, values)
            for column, values in zip(signature.columns, columns, strict=True)
            if not column.ignored
        }
    )


def _series(column: Column, values: Sequence[Any]) -> "pd.Series[Any]":
    if column.kind == "string":
        return pd.Series(list(values), dtype="str")
    if column.kind == "boolean":
        return pd.Series(list(values), dtype="object" if column.nullable else "bool")
    return pd.Series(np.array(values, dtype=np.float64))


def columns_of(signature: Signature, frame: pd.DataFrame) -> list[list[Any]]:
    """The columns of `frame` as request values, missing values as None.

    Columns that are no inputs are not looked for, and left empty.

    Raises
    ------
    KeyError
        If the frame lacks a column of the signature.
    """
    convert: dict[str, Callable[[Any], Any]] = {
        "number": float,
        "integer": _integer,
        "boolean": bool,
        "string": str,
    }
    found = []
    for column in signature.columns:
        if column.ignored:
            found.append([None] * len(frame))
            continue
        values = frame[column.name]
        function = convert[column.kind]
        found.append(
            [
                None if missing else function(value)
                for value, missing in zip(values.tolist(), values.isna(), strict=True)
            ]
        )
    return found


def _integer(value: Any) -> int | float:
    """`value` as int; as it is where it is no whole number."""
    return int(value) if value == value // 1 else float(value)
