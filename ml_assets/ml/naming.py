"""Columns of texts that name rows, or moments, and do not group rows: ids and dates.

Their values do not come again, so that a list of them teaches nothing, refuses every
row to come, and shows to whoever reads it whom the rows are about.
"""

import re
from typing import Any

import pandas as pd

# Of fewer rows than the first a text column may be anything; of fewer than the second
# half of them may differ and still be groups.
FEW, SOME = 20, 100
_NEARLY_ALL = 0.9
_MONTH = r"(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.?"
_YEAR = r"(19|20)\d\d"
_TIME = r"([T ,]+\d{1,2}:\d\d\S*( ?[ap]m)?( ?[a-z]{2,4})?)?"
_DATE = re.compile(
    rf"({_YEAR}([-/. ]\d{{1,2}}){{1,2}}"
    rf"|\d{{1,2}}[-/. ]\d{{1,2}}[-/. ]({_YEAR}|\d\d)"
    rf"|{_YEAR}[01]\d[0-3]\d"
    rf"|{_YEAR}-?(w\d\d|q[1-4])(-?\d)?"
    rf"|([a-z]{{3}}, )?\d{{1,2}}[- ]{_MONTH}[- ]({_YEAR}|\d\d)"
    rf"|{_MONTH} (\d{{1,2}}, )?{_YEAR})"
    rf"{_TIME}",
    re.ASCII | re.IGNORECASE,
)


def names_rows(column: "pd.Series[Any]") -> str | None:
    """Why a column's values are names or dates; None where they make groups.

    Examples
    --------
    >>> names_rows(pd.Series([f"id-{number}" for number in range(900)]))
    '900 of its 900 values are distinct, as those of an id are'
    >>> names_rows(pd.Series(["2026-11-27", "2026-11-28"] * 100))
    'its 2 values are dates, which later rows do not repeat'
    >>> names_rows(pd.Series(["north", "south"] * 100)) is None
    True
    """
    texts = _texts(column)
    if not texts:
        return None
    rows, distinct = int(column.notna().sum()), len(texts)
    if all(_DATE.fullmatch(text.strip()) for text in texts):
        return f"its {distinct:,} values are dates, which later rows do not repeat"
    share = 0.5 if rows >= SOME else _NEARLY_ALL
    if rows >= FEW and distinct > share * rows:
        return (
            f"{distinct:,} of its {rows:,} values are distinct, as those of an id are"
        )
    return None


def _texts(column: "pd.Series[Any]") -> list[str]:
    """The distinct values of a column of texts; none where it is of another kind."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        found = column.cat.remove_unused_categories().cat.categories.tolist()
    elif pd.api.types.is_numeric_dtype(column.dtype):
        return []
    else:
        found = column.dropna().unique().tolist()
    return found if all(isinstance(value, str) for value in found) else []
