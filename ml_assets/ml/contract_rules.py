"""When a column counts as changed since the data that was last accepted.

The rules tell a broken source from an ordinary week: what changes the meaning of a
column, or touches more rows than typing errors would, is an error; the rest is a
warning. Hard limits of a domain belong into ``expect`` in the YAML.
"""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from ml_assets.ml.contract_columns import (
    ColumnContract,
    Severity,
    Violation,
    column_kind,
    missing_share,
    numbers,
    value_counts,
)
from ml_assets.ml.contract_growth import grows

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


def column_violations(
    learned: ColumnContract, learned_rows: int, column: pd.Series
) -> Iterator[Violation]:
    """How `column` breaks what was `learned` of it from `learned_rows` rows."""
    if not len(column):
        return
    yield from _missing(learned, column)
    if column.isna().all():
        # Nothing is left that could have a type, a category or a range.
        return
    if learned.missing == 1:
        # What had no value then had no type, no category and no range.
        return
    changed = list(_kind(learned, column))
    yield from changed
    if any(violation.severity == "error" for violation in changed):
        return
    if grows(column):
        # Learnt before that was looked at, or of too few rows to tell.
        return
    if learned.kind == "string" and learned.categories is not None:
        yield from _categories(learned, learned.categories, learned_rows, column)
    elif learned.low is not None and learned.high is not None:
        yield from _range(learned.name, learned.low, learned.high, column)


def _missing(learned: ColumnContract, column: pd.Series) -> Iterator[Violation]:
    share = missing_share(column)
    # Rounded, so that a rise of exactly the limit is not above it.
    rise = round(share - learned.missing, 9)
    first = share > 0 and not learned.nullable
    if rise <= MISSING_WARNING and not first:
        return
    yield Violation(
        rule="missing_values",
        severity="error" if rise > MISSING_ERROR else "warning",
        column=learned.name,
        message=(
            f"column {learned.name}: {percent(share)} of the values are missing,"
            f" expected about {percent(learned.missing)}"
        ),
        found=share,
        expected=learned.missing,
    )


def _kind(learned: ColumnContract, column: pd.Series) -> Iterator[Violation]:
    kind = column_kind(column)
    if kind == learned.kind and (kind != "other" or learned.dtype == str(column.dtype)):
        return
    severity, reason = _judge_kind(learned, kind, column)
    yield Violation(
        rule="changed_type",
        severity=severity,
        column=learned.name,
        message=(
            f"column {learned.name}: found {kind} values (dtype {column.dtype}),"
            f" expected {learned.kind} (dtype {learned.dtype}){reason}"
        ),
        found=kind,
        expected=learned.kind,
    )


def _judge_kind(
    learned: ColumnContract, found: str, column: pd.Series
) -> tuple[Severity, str]:
    """Only missing values change how whole numbers and Booleans are carried."""
    change = (learned.kind, found)
    absent = int(column.isna().sum())
    if change == ("number", "integer"):
        return "warning", ": all numbers are whole this time"
    if change == ("integer", "number"):
        values = numbers(column)
        broken = values[values != np.floor(values)]
        if broken.size:
            return "error", f": {broken.size:,} have a fraction, e.g. {broken[0]:g}"
        return "warning", f": whole, but {absent:,} missing values make them floats"
    if change == ("boolean", "string") and value_counts(column).keys() <= BOOLEANS:
        return "warning", f": Booleans, but {absent:,} missing values make them text"
    if change == ("string", "boolean") and set(learned.categories or "?") <= BOOLEANS:
        return "warning", ": Booleans, and this time none is missing"
    return "error", ""


def _categories(
    learned: ColumnContract,
    categories: dict[str, int],
    learned_rows: int,
    column: pd.Series,
) -> Iterator[Violation]:
    counts = value_counts(column)
    unseen = {value: rows for value, rows in counts.items() if value not in categories}
    if unseen:
        rows = sum(unseen.values())
        share = rows / len(column)
        # What was seen once tells how much of a long tail was not seen (Good, Turing).
        usual = sum(seen == 1 for seen in categories.values()) / learned_rows
        yield Violation(
            rule="unseen_category",
            severity="warning" if _is_little(rows, share, usual) else "error",
            column=learned.name,
            message=(
                f"column {learned.name}: {rows:,} of {len(column):,}"
                f" rows ({percent(share)}) hold values never seen before:"
                f" {_shown(unseen)}; expected one of {_shown(categories)}"
            ),
            found=(
                unseen if len(unseen) <= SHOWN else dict(list(unseen.items())[:SHOWN])
            ),
            expected=sorted(categories),
        )
    for value, seen in categories.items():
        usual = seen / learned_rows
        is_common = usual >= COMMON and usual * len(column) >= COMMON_ROWS
        if is_common and value not in counts:
            yield Violation(
                rule="vanished_category",
                severity="warning",
                column=learned.name,
                message=(
                    f"column {learned.name}: no row holds '{value}',"
                    f" expected about {percent(usual)}"
                ),
                found=0.0,
                expected=usual,
            )


def _is_little(rows: int, share: float, usual: float) -> bool:
    """Whether no more is new than slips and a long tail of rare values bring."""
    return share <= SLIP + 2 * usual or (rows <= FEW_ROWS and share <= FEW_SHARE)


def _range(
    name: str, low: float, high: float, column: pd.Series
) -> Iterator[Violation]:
    """Values beyond the learnt range by more than its width are not of its kind.

    A new maximum is ordinary, above all in heavy tails; another unit, or a code such as
    999 for a missing value, lands far outside and in many rows.
    """
    values = numbers(column)
    # A constant column has no width of its own.
    width = (high - low) or max(abs(high), 1.0)
    far = values[(values < low - width) | (values > high + width)]
    outside = values[(values < low) | (values > high)]
    many_far = not _is_little(far.size, far.size / len(column), 0.0)
    if not far.size and outside.size <= SLIP * len(column):
        return
    odd = far if far.size else outside
    yield Violation(
        rule="out_of_range",
        severity="error" if many_far else "warning",
        column=name,
        message=(
            f"column {name}: {odd.size:,} of {values.size:,} values are"
            f" {'far ' if far.size else ''}outside {low:g}..{high:g},"
            f" from {odd.min():g} to {odd.max():g}"
        ),
        found=[_finite(odd.min()), _finite(odd.max())],
        expected=[low, high],
    )


def percent(share: float) -> str:
    """`share` of 1 in percent.

    Examples
    --------
    >>> percent(0.25), percent(0.00012)
    ('25 %', '0.012 %')
    """
    return f"{100 * share:.3g} %"


def _finite(value: float) -> float | str:
    """`value`, as text where JSON has no number for it."""
    return float(value) if np.isfinite(value) else str(value)


def _shown(counts: dict[str, int]) -> str:
    """The most frequent values of `counts`."""
    ordered = sorted(counts, key=lambda value: (-counts[value], value))
    more = f" and {len(ordered) - SHOWN} more" if len(ordered) > SHOWN else ""
    return ", ".join(f"'{value}'" for value in ordered[:SHOWN]) + more
