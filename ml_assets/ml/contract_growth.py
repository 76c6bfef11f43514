"""Columns whose values are new by nature: identifiers and dates.

Next week's data has other ones, so that the values of last week say nothing about them;
such a column is held to its type and its missing values only.
"""

import re
from collections import Counter
from collections.abc import Collection

import numpy as np
import pandas as pd

# Of the values that differ, so many must have the form; some cells are always odd.
FORM_SHARE = 0.95
# Fewer rows tell no identifier from a category.
LEAST_ROWS = 20
# Text of which every second row is another one is no category.
UNIQUE_SHARE = 0.5
# So many codes of one form are not the levels of a category.
LEAST_CODES = 50
# Whole numbers in a range that rows drawn by chance would repeat in are numbered.
CHANCE = 20.0
_TIME = r"([T ]\d{1,2}:\d{2}.*)?"
_DATE = re.compile(
    rf"\d{{4}}[-/.]\d{{1,2}}([-/.]\d{{1,2}})?{_TIME}"
    rf"|\d{{1,2}}[-/.]\d{{1,2}}[-/.](\d{{4}}|\d{{2}}){_TIME}"
    rf"|\d{{1,2}}[- ][^\W\d]{{3,9}}\.?[- ](\d{{4}}|\d{{2}}){_TIME}"
    rf"|[^\W\d]{{3,9}}\.? \d{{1,2}},? \d{{4}}{_TIME}"
    r"|\d{4}-?(W\d{1,2}|Q[1-4])"
    r"|(19|20)\d\d(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])"
)
# The years 2000 to 2100 in seconds and in milliseconds.
_SECONDS = (946_684_800.0, 4_102_444_800.0)


def grows(column: pd.Series) -> bool:
    """Whether the values of `column` are dates or identifiers.

    Examples
    --------
    >>> grows(pd.Series(["2026-11-26", "2026-11-27"] * 10))
    True
    >>> grows(pd.Series([f"C-{number}" for number in range(20)]))
    True
    >>> grows(pd.Series(["gold", "silver"] * 10))
    False
    >>> grows(pd.Series([39, 50, 38, 61, 39] * 10))
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
    if _share(values, [bool(_DATE.fullmatch(value)) for value in values]):
        return True
    return len(values) >= LEAST_CODES and _have_one_form(values)


def _is_numbered(values: np.ndarray) -> bool:
    """Whole numbers that count rows or tell times."""
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
    """Whether nearly all hold digits, and letters and signs in the same places."""
    forms = [re.sub(r"\d+", "9", re.sub(r"[^\W\d_]+", "a", text)) for text in values]
    common = Counter(forms).most_common(1)[0][0]
    return "9" in common and _share(values, [form == common for form in forms])


def _share(values: Collection[str], fits: Collection[bool]) -> bool:
    return sum(fits) >= FORM_SHARE * len(values)
