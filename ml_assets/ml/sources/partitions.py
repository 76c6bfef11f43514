"""Hive partitions: columns in the names of directories (``year=2026/x.csv``)."""

import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import unquote

import pandas as pd

# What Hive and all who write like it call a missing value.
MISSING = "__HIVE_DEFAULT_PARTITION__"
INTEGER = re.compile(r"[+-]?\d{1,18}")
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
TRUTH = {"true": True, "false": False}

Values = dict[str, Any]


def partitions(names: Sequence[str]) -> list[Values]:
    """The columns of each file, by its path below the directory in which they begin.

    A column has one type in all files: whole numbers, numbers, Booleans or texts, as
    the same values in a CSV file would have.

    Examples
    --------
    >>> partitions(["year=2025/a%20b=x/1.parquet", "year=2026/a%20b=y/1.parquet"])
    [{'year': 2025, 'a b': 'x'}, {'year': 2026, 'a b': 'y'}]
    """
    texts = [_texts(name) for name in names]
    columns = {column for found in texts for column in found}
    typed = {
        column: _typed({found[column] for found in texts if column in found})
        for column in columns
    }
    return [
        {name: typed[name][text] for name, text in found.items()} for found in texts
    ]


def with_partitions(frame: pd.DataFrame, values: Values) -> pd.DataFrame:
    """`frame` with a column for each value that it does not hold itself."""
    from ml_assets.ml.frames import with_columns

    added = {
        name: pd.Series([value] * len(frame), index=frame.index)
        for name, value in values.items()
        if name not in frame.columns
    }
    return with_columns(frame, added) if added else frame


def _texts(name: str) -> dict[str, str | None]:
    pairs = [part.split("=", 1) for part in name.split("/")[:-1] if "=" in part]
    return {
        unquote(column): None if text == MISSING else unquote(text)
        for column, text in pairs
        if column
    }


def _typed(texts: set[str | None]) -> dict[str | None, Any]:
    known = {text for text in texts if text is not None}
    if all(INTEGER.fullmatch(text) for text in known):
        return {text: None if text is None else int(text) for text in texts}
    if all(NUMBER.fullmatch(text) for text in known):
        return {text: None if text is None else float(text) for text in texts}
    if all(text.lower() in TRUTH for text in known):
        return {text: None if text is None else TRUTH[text.lower()] for text in texts}
    return {text: text for text in texts}
