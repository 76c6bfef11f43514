"""What a contract remembers of one column, and when new values break it.

The rules distinguish a broken source from an ordinary week: what changes the meaning of
a column, or touches more rows than typing errors would, is an error; the rest is a
warning. Hard limits of a domain belong into ``expect`` in the YAML.
"""

from collections.abc import Iterator
from typing import Any, Literal, Self

import msgspec
import numpy as np
import pandas as pd

from ml_assets.ml.identifiers import is_identifier_or_date
from ml_assets.ml.schema import kind_of
from ml_assets.records.plan import Kind
from ml_assets.records.signature import MAX_CATEGORIES

Severity = Literal["error", "warning"]

# Up to this share of the rows, an odd value is a slip; above it the source changed.
SLIP = 0.01
# And so few rows are an entry in the source, whatever share of a small table they are.
FEW_ROWS, FEW_SHARE = 5, 0.10
# A rise of the missing share, in parts of all rows.
MISSING_WARNING, MISSING_ERROR = 0.02, 0.10
# A category that this share of the rows had, and this many rows should have now,
# does not vanish by chance.
COMMON, COMMON_ROWS = 0.05, 20
# Booleans as text, which is how a column with missing ones is kept.
BOOLEANS = {"False", "True"}
# Values that a message shows.
SHOWN = 5


class Violation(msgspec.Struct, frozen=True, kw_only=True):
    """One way in which data breaks a contract.

    An ``error`` stops the data before features; a ``warning`` is reported. ``found``
    and ``expected`` are JSON values: those of ``message``.
    """

    rule: str
    severity: Severity
    column: str | None
    message: str
    found: Any = None
    expected: Any = None

    @classmethod
    def of_column(
        cls, column: str, rule: str, severity: Severity, finding: str, **values: Any
    ) -> Self:
        """A violation whose message names the column in front of `finding`."""
        text = f"column {column}: {finding}"
        return cls(rule=rule, severity=severity, column=column, message=text, **values)


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

    @classmethod
    def learn(cls, name: str, column: pd.Series) -> "ColumnContract":
        """What to remember of `column`.

        Examples
        --------
        >>> learned = ColumnContract.learn("age", pd.Series([39, 50, 38]))
        >>> learned.kind, learned.low, learned.high, learned.nullable
        ('integer', 38.0, 50.0, False)
        """
        kind, dtype, missing = _kind(column), str(column.dtype), _missing_share(column)
        learned = cls(name=name, kind=kind, dtype=dtype, missing=missing)
        if is_identifier_or_date(column):
            return learned
        if kind == "string":
            counts = _counts(column)
            kept = counts if len(counts) <= MAX_CATEGORIES else None
            return msgspec.structs.replace(learned, categories=kept)
        low, high = _bounds(column) if kind in ("number", "integer") else (None, None)
        return msgspec.structs.replace(learned, low=low, high=high)

    def without_values(self) -> "ColumnContract":
        """The same without the categories and the range."""
        return msgspec.structs.replace(self, categories=None, low=None, high=None)

    def compare(self, column: pd.Series, learned_rows: int) -> Iterator[Violation]:
        """How `column` breaks what was learned from `learned_rows` rows."""
        if not len(column):
            return
        yield from self._missing(column)
        if column.isna().all() or self.missing == 1:
            # No value now or then, and so no type, category or range.
            return
        changed = list(self._type(column))
        yield from changed
        if any(violation.severity == "error" for violation in changed):
            return
        if is_identifier_or_date(column):
            # Learned before that was asked, or from too few rows to know.
            return
        if self.kind == "string" and self.categories is not None:
            yield from self._categories(self.categories, learned_rows, column)
        elif self.low is not None and self.high is not None:
            yield from _range(self.name, self.low, self.high, column)

    def _missing(self, column: pd.Series) -> Iterator[Violation]:
        share = _missing_share(column)
        # Rounded, so that a rise of exactly the limit is not above it.
        rise = round(share - self.missing, 9)
        first = share > 0 and not self.nullable
        if rise <= MISSING_WARNING and not first:
            return
        yield Violation.of_column(
            self.name,
            "missing_values",
            "error" if rise > MISSING_ERROR else "warning",
            f"{percent(share)} of the values are missing,"
            f" expected about {percent(self.missing)}",
            found=share,
            expected=self.missing,
        )

    def _type(self, column: pd.Series) -> Iterator[Violation]:
        kind = _kind(column)
        if kind == self.kind and (kind != "other" or self.dtype == str(column.dtype)):
            return
        severity, reason = self._judge_type(kind, column)
        yield Violation.of_column(
            self.name,
            "changed_type",
            severity,
            f"found {kind} values (dtype {column.dtype}),"
            f" expected {self.kind} (dtype {self.dtype}){reason}",
            found=kind,
            expected=self.kind,
        )

    def _judge_type(self, found: str, column: pd.Series) -> tuple[Severity, str]:
        """Only missing values change how whole numbers and Booleans are carried."""
        change = (self.kind, found)
        absent = int(column.isna().sum())
        if change == ("number", "integer"):
            return "warning", ": all numbers are whole this time"
        if change == ("integer", "number"):
            values = _numbers(column)
            broken = values[values != np.floor(values)]
            if broken.size:
                return "error", f": {broken.size:,} have a fraction, e.g. {broken[0]:g}"
            return "warning", f": whole, but {absent:,} missing values make them floats"
        if change == ("boolean", "string") and _counts(column).keys() <= BOOLEANS:
            return (
                "warning",
                f": Booleans, but {absent:,} missing values make them text",
            )
        if change == ("string", "boolean") and set(self.categories or "?") <= BOOLEANS:
            return "warning", ": Booleans, and this time none is missing"
        return "error", ""

    def _categories(
        self, categories: dict[str, int], learned_rows: int, column: pd.Series
    ) -> Iterator[Violation]:
        counts = _counts(column)
        unseen = {value: n for value, n in counts.items() if value not in categories}
        if unseen:
            rows = sum(unseen.values())
            share = rows / len(column)
            # Values seen once estimate the part of a long tail unseen (Good-Turing).
            usual = sum(seen == 1 for seen in categories.values()) / learned_rows
            yield Violation.of_column(
                self.name,
                "unseen_category",
                "warning" if _is_little(rows, share, usual) else "error",
                f"{rows:,} of {len(column):,} rows ({percent(share)}) hold values never"
                f" seen before: {_shown(unseen)}; expected one of {_shown(categories)}",
                found=dict(list(unseen.items())[:SHOWN]),
                expected=sorted(categories),
            )
        for value, seen in categories.items():
            usual = seen / learned_rows
            is_common = usual >= COMMON and usual * len(column) >= COMMON_ROWS
            if is_common and value not in counts:
                yield Violation.of_column(
                    self.name,
                    "vanished_category",
                    "warning",
                    f"no row holds '{value}', expected about {percent(usual)}",
                    found=0.0,
                    expected=usual,
                )


def _range(
    name: str, low: float, high: float, column: pd.Series
) -> Iterator[Violation]:
    """Values beyond the learned range by more than its width are not of its kind.

    A new maximum is ordinary, above all in heavy tails; another unit, or a code such as
    999 for a missing value, lands far outside and in many rows.
    """
    values = _numbers(column)
    # A constant column has no width of its own.
    width = (high - low) or max(abs(high), 1.0)
    far = values[(values < low - width) | (values > high + width)]
    outside = values[(values < low) | (values > high)]
    many_far = not _is_little(far.size, far.size / len(column), 0.0)
    if not far.size and outside.size <= SLIP * len(column):
        return
    odd = far if far.size else outside
    yield Violation.of_column(
        name,
        "out_of_range",
        "error" if many_far else "warning",
        f"{odd.size:,} of {values.size:,} values are {'far ' if far.size else ''}"
        f"outside {low:g}..{high:g}, from {odd.min():g} to {odd.max():g}",
        found=[_finite(odd.min()), _finite(odd.max())],
        expected=[low, high],
    )


def _is_little(rows: int, share: float, usual: float) -> bool:
    """Whether no more is new than slips and a long tail of rare values bring."""
    return share <= SLIP + 2 * usual or (rows <= FEW_ROWS and share <= FEW_SHARE)


def percent(share: float) -> str:
    """`share` of 1 in percent: 0.00012 is ``0.012 %``."""
    return f"{100 * share:.3g} %"


def _kind(column: pd.Series) -> Kind | Literal["other"]:
    try:
        return kind_of(column)
    except TypeError:
        return "other"


def _missing_share(column: pd.Series) -> float:
    return float(column.isna().mean()) if len(column) else 0.0


def _numbers(column: pd.Series) -> np.ndarray:
    """The values that are not missing, as float64."""
    return column.dropna().to_numpy(dtype=np.float64)


def _counts(column: pd.Series) -> dict[str, int]:
    """Rows of each value that occurs, sorted by value."""
    counts = column.value_counts(sort=False)
    found = {str(value): int(rows) for value, rows in counts.items() if rows}
    return dict(sorted(found.items()))


def _bounds(column: pd.Series) -> tuple[float | None, float | None]:
    values = _numbers(column)
    finite = values[np.isfinite(values)]
    return (float(finite.min()), float(finite.max())) if finite.size else (None, None)


def _finite(value: float) -> float | str:
    """`value`, as text where JSON has no number for it."""
    return float(value) if np.isfinite(value) else str(value)


def _shown(counts: dict[str, int]) -> str:
    """The most frequent values of `counts`."""
    ordered = sorted(counts, key=lambda value: (-counts[value], value))
    more = f" and {len(ordered) - SHOWN} more" if len(ordered) > SHOWN else ""
    return ", ".join(f"'{value}'" for value in ordered[:SHOWN]) + more
