"""Rows as lists of numbers, for models whose columns are all numbers."""

from typing import Any

from ml_assets.serving.requests.decoder import RowDecoder
from ml_assets.serving.requests.problems import FieldError, invalid
from ml_assets.serving.requests.values import found


def is_numeric(decoder: RowDecoder) -> bool:
    """Whether a model reads numbers only."""
    return all(item.kind in ("number", "integer") for item in decoder.signature.inputs)


def columns_of_matrix(decoder: RowDecoder, rows: list[Any]) -> dict[str, list[Any]]:
    """The columns of rows that give their values in the order of the model's columns.

    Raises
    ------
    Problem
        422 if the model reads a column that is no number, or a row has another width.
    """
    inputs = decoder.signature.inputs
    if not is_numeric(decoder):
        other = next(item for item in inputs if item.kind not in ("number", "integer"))
        expected = f"objects by column name, as column {other.name!r} is no number"
        raise invalid([FieldError(row=0, expected=expected, found=found(rows[0]))])
    for number, row in enumerate(rows):
        if not isinstance(row, list) or len(row) != len(inputs):
            text = f"an array of {len(row)}" if isinstance(row, list) else found(row)
            expected = f"an array of {len(inputs)} values"
            raise invalid([FieldError(row=number, expected=expected, found=text)])
    return {item.name: [row[at] for row in rows] for at, item in enumerate(inputs)}
