"""The kinds of columns that a model's YAML gives, applied to a table as it was read."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from ml_assets.core.canonical import canonical_text
from ml_assets.ml.dates import odd_dates
from ml_assets.ml.tables import DataError, tidy
from ml_assets.spec.columns import ColumnKind, texts_of
from ml_assets.spec.expectations import did_you_mean

# Truth values as sources write them, each pair in small letters.
TRUTHS = ({"false", "true"}, {"no", "yes"}, {"n", "y"}, {"f", "t"}, {"0", "1"})
SHOWN = 5


def with_kinds(frame: pd.DataFrame, columns: Mapping[str, ColumnKind]) -> pd.DataFrame:
    """A tidy table with texts where the YAML asks for them.

    Parameters
    ----------
    frame : DataFrame of shape (n_rows, n_columns)
        A tidy table.
    columns : mapping of str to str
        Column: ``number``, ``category``, ``text``, ``date`` or ``boolean``.

    Raises
    ------
    DataError
        A column is missing, or one of dates or truth values holds something else.

    Examples
    --------
    >>> codes = pd.DataFrame({"zip": [8001, 3011]})
    >>> with_kinds(codes, {"zip": "text"})["zip"].tolist()
    ['8001', '3011']
    >>> new = pd.DataFrame({"new": pd.Categorical(["y", "?"])})
    >>> with_kinds(new, {"new": "boolean"})
    Traceback (most recent call last):
    ...
    ml_assets.ml.tables.DataError: column 'new' holds '?', expected truth values of \
one spelling (true/false, yes/no, y/n, t/f, 1/0), as columns.new: boolean says
    """
    for name, kind in columns.items():
        if name not in frame.columns:
            raise DataError(
                f"columns names '{name}', which the data does not have"
                f"{did_you_mean(name, frame.columns)}; its columns are"
                f" {', '.join(map(str, frame.columns))}"
            )
        if kind == "date":
            _check_dates(name, frame[name])
        if kind == "boolean":
            _check_truths(name, frame[name])
    texts = {
        name: _as_texts(frame[name])
        for name in frame.columns
        if name in texts_of(columns)
    }
    if not texts:
        return frame
    typed = tidy(frame.assign(**texts), is_part=True)
    typed.attrs = dict(frame.attrs)
    return typed


def _as_texts(column: "pd.Series[Any]") -> "pd.Series[Any]":
    if isinstance(column.dtype, pd.CategoricalDtype) or column.isna().all():
        return column
    return column.astype(object).map(canonical_text, "ignore")


def _check_dates(name: str, column: "pd.Series[Any]") -> None:
    if odd := odd_dates(column):
        more = f" and {len(odd) - SHOWN:,} more" if len(odd) > SHOWN else ""
        raise DataError(
            f"column '{name}' holds {', '.join(map(repr, odd[:SHOWN]))}{more}, expected"
            f" ISO dates such as 2026-11-28, as columns.{name}: date says"
        )


def _check_truths(name: str, column: "pd.Series[Any]") -> None:
    found = {str(canonical_text(cell)) for cell in column.dropna().unique().tolist()}
    spelt = {text.lower() for text in found}
    if any(spelt <= pair for pair in TRUTHS):
        return
    known = set().union(*TRUTHS)
    odd = sorted(text for text in found if text.lower() not in known) or sorted(found)
    shown = ", ".join(repr(text) for text in odd[:SHOWN])
    raise DataError(
        f"column '{name}' holds {shown}, expected truth values of one spelling"
        f" (true/false, yes/no, y/n, t/f, 1/0), as columns.{name}: boolean says"
    )
