"""Concatenation of tidy tables that may lack values, with one dtype for each column.

The kind of a column is seen in all parts together: integers become floats where a cell
is missing in another part, and a part without any value goes with every kind. The
result is the table that one file with all the rows would have given.
"""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from ml_assets.core.canonical import BOOLEANS
from ml_assets.ml.tables import DataError

Part = tuple[str, pd.DataFrame]


def concat_tables(parts: Sequence[Part]) -> pd.DataFrame:
    """The rows of all parts, one below the other.

    Parameters
    ----------
    parts : sequence of (str, DataFrame)
        What errors call each part, and its tidy rows.

    Raises
    ------
    DataError
        A part has other columns than the first, or another kind of values in one.

    Examples
    --------
    >>> may, june = pd.DataFrame({"age": [31]}), pd.DataFrame({"age": [float("nan")]})
    >>> concat_tables([("may.csv", may), ("june.csv", june)])["age"].tolist()
    [31.0, nan]
    >>> july = pd.DataFrame({"age": pd.Categorical(["old"])})
    >>> concat_tables([("may.csv", may), ("july.csv", july)])
    Traceback (most recent call last):
    ...
    ml_assets.ml.tables.DataError: july.csv: column 'age' holds texts, but numbers in \
may.csv
    """
    first, table = parts[0]
    if len(parts) == 1:
        return table
    for name, frame in parts[1:]:
        _check_names(name, list(frame.columns), first, list(table.columns))
    filled = [part for part in parts if len(part[1])] or parts[:1]
    return pd.DataFrame({column: _joined(column, filled) for column in table.columns})


def _check_names(name: str, found: list[str], first: str, wanted: list[str]) -> None:
    if found != wanted:
        unlike = ", ".join(sorted({*found} ^ {*wanted})) or "in another order"
        raise DataError(f"{name}: its columns are not those of {first} ({unlike})")


def _joined(column: str, parts: Sequence[Part]) -> "pd.Series[Any]":
    pieces = [frame[column] for _, frame in parts]
    kinds = [_kind(piece) for piece in pieces]
    known = [index for index, kind in enumerate(kinds) if kind is not None]
    for index in known[1:]:
        if not _agree(pieces[known[0]], pieces[index]):
            raise DataError(
                f"{parts[index][0]}: column '{column}' holds {kinds[index]}, but"
                f" {kinds[known[0]]} in {parts[known[0]][0]}"
            )
    if all(kind in (None, "numbers") for kind in kinds):
        return pd.concat(pieces, ignore_index=True)
    if all(kind == "Booleans" for kind in kinds):
        return pd.concat(pieces, ignore_index=True)
    texts = [_as_texts(piece) for piece in pieces]
    return pd.Series(pd.api.types.union_categoricals(texts, sort_categories=True))


def _kind(piece: "pd.Series[Any]") -> str | None:
    """What a part holds in a column; None where it has no value there."""
    if piece.isna().all():
        return None
    if isinstance(piece.dtype, pd.CategoricalDtype):
        return "texts"
    return "Booleans" if pd.api.types.is_bool_dtype(piece.dtype) else "numbers"


def _agree(one: "pd.Series[Any]", other: "pd.Series[Any]") -> bool:
    kinds = {_kind(one), _kind(other)}
    if kinds == {"texts", "Booleans"}:
        texts = one if _kind(one) == "texts" else other
        return set(texts.cat.categories) <= BOOLEANS
    return len(kinds) == 1


def _as_texts(piece: "pd.Series[Any]") -> "pd.Series[Any]":
    if _kind(piece) is None:
        nothing: list[int] = [-1] * len(piece)
        return _categories(nothing, [])
    if isinstance(piece.dtype, pd.CategoricalDtype):
        return piece
    return _categories(piece.astype(int).tolist(), sorted(BOOLEANS))


def _categories(codes: list[int], texts: list[str]) -> "pd.Series[Any]":
    index = pd.Index(texts, dtype="str")
    return pd.Series(pd.Categorical.from_codes(codes, index))
