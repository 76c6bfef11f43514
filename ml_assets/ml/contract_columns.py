"""What a contract remembers of one column, and what it says when that changed."""

from typing import Any, Literal

import msgspec
import numpy as np
import pandas as pd

from ml_assets.ml.contract_growth import grows
from ml_assets.ml.schema import kind_of
from ml_assets.records.plan import Kind
from ml_assets.records.signature import MAX_CATEGORIES

Severity = Literal["error", "warning"]


class Violation(msgspec.Struct, frozen=True, kw_only=True):
    """One way in which data breaks a contract.

    An ``error`` stops the data before features; a ``warning`` is reported. ``found``
    and ``expected`` are the JSON values that ``message`` speaks of.
    """

    rule: str
    severity: Severity
    column: str | None
    message: str
    found: Any = None
    expected: Any = None


class ColumnContract(msgspec.Struct, frozen=True, kw_only=True):
    """One column of accepted data.

    Parameters
    ----------
    name : str
    kind : {'number', 'integer', 'boolean', 'string', 'other'}
        ``other`` is what a request cannot carry, such as dates.
    dtype : str
        The type as pandas calls it.
    missing : float
        Share of the rows without a value, 0 to 1.
    categories : dict of str to int, or None
        Rows of each value of a string column; None where it has more than 1,000, and
        where they are new by nature, such as dates and identifiers.
    low, high : float or None
        Smallest and largest finite value of a numeric column whose values are not.
    """

    name: str
    kind: Kind | Literal["other"]
    dtype: str
    missing: float
    categories: dict[str, int] | None = None
    low: float | None = None
    high: float | None = None

    @property
    def nullable(self) -> bool:
        """Whether a value was missing."""
        return self.missing > 0


def learn_column(name: str, column: pd.Series) -> ColumnContract:
    """What to remember of `column`.

    Examples
    --------
    >>> learned = learn_column("age", pd.Series([39, 50, 38]))
    >>> learned.kind, learned.low, learned.high, learned.nullable
    ('integer', 38.0, 50.0, False)
    """
    kind = column_kind(column)
    is_held = not grows(column)
    is_number = is_held and kind in ("number", "integer")
    low, high = _bounds(column) if is_number else (None, None)
    return ColumnContract(
        name=name,
        kind=kind,
        dtype=str(column.dtype),
        missing=missing_share(column),
        categories=_counts(column) if is_held and kind == "string" else None,
        low=low,
        high=high,
    )


def without_values(learned: ColumnContract) -> ColumnContract:
    """What was `learned` of a column, less its values and its range."""
    return msgspec.structs.replace(learned, categories=None, low=None, high=None)


def column_kind(column: pd.Series) -> Kind | Literal["other"]:
    """The kind of `column`; ``other`` for what a request cannot carry."""
    try:
        return kind_of(column)
    except TypeError:
        return "other"


def missing_share(column: pd.Series) -> float:
    """Share of missing values, 0 to 1; 0 for no rows."""
    return float(column.isna().mean()) if len(column) else 0.0


def numbers(column: pd.Series) -> np.ndarray:
    """The values of a numeric column that are not missing, as float64."""
    return column.dropna().to_numpy(dtype=np.float64)


def value_counts(column: pd.Series) -> dict[str, int]:
    """Rows of each value that occurs, sorted by value."""
    counts = column.value_counts(sort=False)
    found = {str(value): int(rows) for value, rows in counts.items() if rows}
    return dict(sorted(found.items()))


def _counts(column: pd.Series) -> dict[str, int] | None:
    counts = value_counts(column)
    return counts if len(counts) <= MAX_CATEGORIES else None


def _bounds(column: pd.Series) -> tuple[float | None, float | None]:
    values = numbers(column)
    finite = values[np.isfinite(values)]
    return (float(finite.min()), float(finite.max())) if finite.size else (None, None)
