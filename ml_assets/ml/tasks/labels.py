"""Labels of a target of classes: which spellings are one class, and lists of them."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ml_assets.core.canonical import as_boolean, canonical_text
from ml_assets.ml.cleaning import FeatureError
from ml_assets.records.plan import LISTED, Label

SHOWN = 5


def spelling(value: Label) -> str:
    """The text by which spellings of one class are the same.

    Examples
    --------
    >>> [spelling(value) for value in (1, 1.0, "1", "1.0", True, "True", "yes")]
    ['1', '1', '1', '1', '1', '1', 'yes']
    """
    found = as_boolean(value)
    # A column of 0 and 1 may be read as one of truth values in another week.
    return str(int(found)) if found is not None else canonical_text(value) or str(value)


def values_of(column: "pd.Series[Any]") -> list[Any]:
    """The distinct values of a target, sorted."""
    return sorted(column.dropna().unique().tolist(), key=lambda v: (str(type(v)), v))


def positions(column: "pd.Series[Any]", labels: Sequence[Label]) -> NDArray[np.int64]:
    """The position in `labels` of each value of `column`, whatever their spelling.

    Raises
    ------
    FeatureError
        If a value is none of them.
    """
    keys = {spelling(label): number for number, label in enumerate(labels)}
    known = {value: keys.get(spelling(value)) for value in column.unique().tolist()}
    odd = [value for value, number in known.items() if number is None]
    if odd:
        raise FeatureError(
            f"the target '{column.name}' has the value {odd[0]!r}, and it tells"
            f" {joined(labels)} apart"
        )
    return np.asarray(column.map(known).to_numpy(), dtype=np.int64)


def joined(labels: Sequence[Label]) -> str:
    """Labels in words.

    Examples
    --------
    >>> joined(["no", "yes"]), joined([1, 2, 3])
    ("'no' and 'yes'", '1, 2 and 3')
    """
    shown = [repr(label) for label in labels]
    return f"{', '.join(shown[:-1])} and {shown[-1]}"


def changes(found: Iterable[Any], labels: Sequence[Label]) -> str:
    """Which of the values that were found are new, and which of the labels are gone.

    Examples
    --------
    >>> changes(["no", "maybe"], ["no", "yes"])
    ", 'maybe' is new, 'yes' is gone"
    """
    new, gone = differences(found, labels)
    text = f", {', '.join(new[:SHOWN])} {_be(new)} new" if new else ""
    return text + (f", {' and '.join(gone)} {_be(gone)} gone" if gone else "")


def differences(
    found: Iterable[Any], labels: Sequence[Label]
) -> tuple[list[str], list[str]]:
    """The values that are none of the labels, and the labels that are none of them.

    Values that are too many to be classes are not named.
    """
    known = {spelling(label): label for label in labels}
    today = {spelling(value): value for value in found}
    few = today if len(today) <= LISTED else {}
    new = [repr(value) for key, value in few.items() if key not in known]
    return new, [repr(label) for key, label in known.items() if key not in today]


def _be(values: list[str]) -> str:
    return "is" if len(values) == 1 else "are"


def listing(values: Sequence[Any]) -> str:
    """Some values in words, unless they are too many to be classes."""
    if len(values) > LISTED:
        return "too many to be classes"
    shown = ", ".join(map(repr, values[:SHOWN]))
    more = len(values) - SHOWN
    return shown + (f" and {more:,} more" if more > 0 else "")
