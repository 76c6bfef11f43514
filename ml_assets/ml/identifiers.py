"""Columns of identifiers and dates, whose values do not come again in later rows.

A list of such values teaches nothing and refuses every row to come, and it shows to
whoever reads it whom the rows are about. Last week's values do not predict this
week's either. Two callers ask, with rules of their own: the features of a model leave
such a column out and must not lose a category by mistake; the schema contract only
stops comparing its values.
"""

import re
from collections import Counter
from collections.abc import Collection
from typing import Any

import numpy as np
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

# The contract's rules. Of the values that differ, so many must have the form: some
# cells are always odd.
FORM_SHARE = 0.95
# Fewer rows do not distinguish an identifier from a category.
LEAST_ROWS = 20
# Text of which every second row is another one is no category.
UNIQUE_SHARE = 0.5
# So many codes of one form are not the levels of a category.
LEAST_CODES = 50
# Whole numbers in a range that rows drawn by chance would repeat in are numbered.
CHANCE = 20.0
_ANY_TIME = r"([T ]\d{1,2}:\d{2}.*)?"
_ANY_DATE = re.compile(
    rf"\d{{4}}[-/.]\d{{1,2}}([-/.]\d{{1,2}})?{_ANY_TIME}"
    rf"|\d{{1,2}}[-/.]\d{{1,2}}[-/.](\d{{4}}|\d{{2}}){_ANY_TIME}"
    rf"|\d{{1,2}}[- ][^\W\d]{{3,9}}\.?[- ](\d{{4}}|\d{{2}}){_ANY_TIME}"
    rf"|[^\W\d]{{3,9}}\.? \d{{1,2}},? \d{{4}}{_ANY_TIME}"
    r"|\d{4}-?(W\d{1,2}|Q[1-4])"
    r"|(19|20)\d\d(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])"
)
# The years 2000 to 2100 in seconds and in milliseconds.
_SECONDS = (946_684_800.0, 4_102_444_800.0)


def identifier_reason(column: "pd.Series[Any]") -> str | None:
    """Why texts are identifiers or dates; None where they are categories.

    Examples
    --------
    >>> identifier_reason(pd.Series([f"id-{number}" for number in range(900)]))
    '900 of its 900 values are distinct, as those of an id are'
    >>> identifier_reason(pd.Series(["2026-11-27", "2026-11-28"] * 100))
    'its 2 values are dates, which later rows do not repeat'
    >>> identifier_reason(pd.Series(["north", "south"] * 100)) is None
    True
    """
    texts = distinct_texts(column)
    if not texts:
        return None
    rows, distinct = int(column.notna().sum()), len(texts)
    if are_dates(texts):
        return f"its {distinct:,} values are dates, which later rows do not repeat"
    share = 0.5 if rows >= SOME else _NEARLY_ALL
    if rows >= FEW and distinct > share * rows:
        return (
            f"{distinct:,} of its {rows:,} values are distinct, as those of an id are"
        )
    return None


def are_dates(texts: Collection[str]) -> bool:
    """Whether all texts are dates, in whatever notation."""
    return all(_DATE.fullmatch(text.strip()) for text in texts)


def distinct_texts(column: "pd.Series[Any]") -> list[str]:
    """The distinct values of a column of texts; none where it is of another kind."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        found = column.cat.remove_unused_categories().cat.categories.tolist()
    elif pd.api.types.is_numeric_dtype(column.dtype):
        return []
    else:
        found = column.dropna().unique().tolist()
    return found if all(isinstance(value, str) for value in found) else []


def is_identifier_or_date(column: "pd.Series[Any]") -> bool:
    """Whether texts or numbers are identifiers or dates, as far as a contract cares.

    Examples
    --------
    >>> is_identifier_or_date(pd.Series(["2026-11-26", "2026-11-27"] * 10))
    True
    >>> is_identifier_or_date(pd.Series([f"C-{number}" for number in range(20)]))
    True
    >>> is_identifier_or_date(pd.Series(["gold", "silver"] * 10))
    False
    >>> is_identifier_or_date(pd.Series([39, 50, 38, 61, 39] * 10))
    False
    """
    present = column.dropna()
    if pd.api.types.is_bool_dtype(present) or len(present) < LEAST_ROWS:
        return False
    if pd.api.types.is_numeric_dtype(present):
        return _is_numbered(present.to_numpy(dtype=np.float64))
    values = [str(value) for value in present.unique()]
    if len(values) >= UNIQUE_SHARE * len(present):
        return True
    if _are_most([bool(_ANY_DATE.fullmatch(value)) for value in values]):
        return True
    return len(values) >= LEAST_CODES and _have_one_form(values)


def _is_numbered(values: np.ndarray) -> bool:
    """Whether they are whole numbers that count rows or are times."""
    if not np.isfinite(values).all() or (values != np.floor(values)).any():
        return False
    low, high = values.min(), values.max()
    is_time = any(
        _SECONDS[0] * unit <= low and high <= _SECONDS[1] * unit for unit in (1.0, 1e3)
    )
    if is_time or _are_dates(values):
        return True
    if np.unique(values).size < values.size:
        return False
    steps = np.diff(values)
    is_sorted = bool((steps > 0).all() or (steps < 0).all())
    return is_sorted or values.size**2 > CHANCE * (high - low + 1)


def _are_dates(values: np.ndarray) -> bool:
    """Whether they are dates without dashes, such as 20261127."""
    year, rest = np.divmod(values, 10_000)
    month, day = np.divmod(rest, 100)
    fits = (year >= 1900) & (year <= 2100) & (month >= 1) & (month <= 12)
    return bool((fits & (day >= 1) & (day <= 31)).all())


def _have_one_form(values: Collection[str]) -> bool:
    """Whether nearly all have digits, letters and signs in the same order."""
    forms = [re.sub(r"\d+", "9", re.sub(r"[^\W\d_]+", "a", text)) for text in values]
    common = Counter(forms).most_common(1)[0][0]
    return "9" in common and _are_most([form == common for form in forms])


def _are_most(fits: Collection[bool]) -> bool:
    return sum(fits) >= FORM_SHARE * len(fits)
