"""The two classes of a target: which value is which, whatever a week's table holds.

The same class may be read as 1, 1.0, ``"1"`` or true, as the other cells of its column
have it; it is one class all the same, and answers keep the spelling of the first
training.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ml_assets.core.canonical import as_boolean, canonical_text
from ml_assets.ml.cleaning import FeatureError
from ml_assets.records.plan import LISTED
from ml_assets.records.plan import Label as Label

_SHOWN = 5


@dataclass(frozen=True)
class Classes:
    """The two values of a target, as answers spell them."""

    negative: Label
    positive: Label

    def __str__(self) -> str:
        return f"{self.negative!r} and {self.positive!r}"


@dataclass(frozen=True)
class Labels:
    """The target as 0 and 1, and which value is which."""

    y: NDArray[np.int64]
    negative: Label
    positive: Label

    @property
    def classes(self) -> Classes:
        """The two values without the rows."""
        return Classes(self.negative, self.positive)


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


def encode_target(
    column: "pd.Series[Any]",
    positive: Label | None = None,
    pinned: Classes | None = None,
) -> Labels:
    """The target as 0 and 1.

    Parameters
    ----------
    column : Series of shape (n_rows,)
        Two distinct values and none missing.
    positive : str, int, float or bool, optional
        The value that counts as 1. By default that of `pinned`, and of a model that was
        never trained the rarer one; of two that are equally frequent, the one that
        sorts last.
    pinned : Classes, optional
        The classes of the model's first training.

    Raises
    ------
    FeatureError
        If there are other than two values, `positive` is none of them, or they are not
        those of `pinned` and `positive` is not given.

    Examples
    --------
    >>> labels = encode_target(pd.Series(["no", "yes", "no"]))
    >>> labels.y.tolist(), labels.positive
    ([0, 1, 0], 'yes')
    >>> encode_target(pd.Series(["no", "yes", "yes"]), pinned=labels.classes).y.tolist()
    [0, 1, 1]
    """
    counts = column.value_counts()
    counts = counts[counts > 0]
    found = sorted(counts.index.tolist())
    if len(found) != 2:
        raise FeatureError(
            f"the target '{column.name}' must have two values, found {len(found)}:"
            f" {_listing(found)}{_against(found, pinned)}"
        )
    if pinned is not None and _agree(positive, pinned):
        order = _positions(found, pinned)
        if order is not None:
            y = np.asarray(column == found[order[1]]).astype(np.int64)
            return Labels(y, pinned.negative, pinned.positive)
        if positive is None:
            raise FeatureError(
                f"the target '{column.name}' has the values {_listing(found)}"
                f"{_against(found, pinned)}; if they were renamed on purpose, say"
                " which one counts as 1 with the key `positive` of the model's YAML"
            )
    if positive is None:
        chosen = 0 if counts[found[0]] < counts[found[1]] else 1
    else:
        chosen = _position_of(positive, found, column.name)
    y = np.asarray(column == found[chosen]).astype(np.int64)
    return Labels(y, found[1 - chosen], found[chosen])


def as_classes(column: "pd.Series[Any]", classes: Classes) -> NDArray[np.int64]:
    """The target of some rows in classes that are known; one of them may be absent.

    Raises
    ------
    FeatureError
        If a row has another value.
    """
    keys = [spelling(classes.negative), spelling(classes.positive)]
    values = column.unique().tolist()
    odd = [value for value in values if spelling(value) not in keys]
    if odd:
        raise FeatureError(
            f"the target '{column.name}' has the value {odd[0]!r}, and it tells"
            f" {classes} apart"
        )
    positive = [value for value in values if spelling(value) == keys[1]]
    return np.asarray(column.isin(positive)).astype(np.int64)


def _agree(positive: Label | None, pinned: Classes) -> bool:
    return positive is None or spelling(positive) == spelling(pinned.positive)


def _positions(found: list[Any], pinned: Classes) -> tuple[int, int] | None:
    """Positions of the pinned classes among the values; None if they are not these."""
    keys = [spelling(value) for value in found]
    wanted = (spelling(pinned.negative), spelling(pinned.positive))
    if sorted(keys) != sorted(wanted):
        return None
    return keys.index(wanted[0]), keys.index(wanted[1])


def _position_of(positive: Label, found: list[Any], name: Any) -> int:
    if positive in found:
        return found.index(positive)
    # YAML reads 1 and true as numbers; the column may hold them as texts.
    alike = [
        n for n, value in enumerate(found) if spelling(value) == spelling(positive)
    ]
    if not alike:
        raise FeatureError(
            f"the target '{name}' has no value {positive!r}; it has"
            f" {found[0]!r} and {found[1]!r}"
        )
    return alike[0]


def _against(found: Iterable[Any], pinned: Classes | None) -> str:
    """What is new and what is gone, against the classes that the model has."""
    if pinned is None:
        return ""
    known = {spelling(value): value for value in (pinned.negative, pinned.positive)}
    today = {spelling(value): value for value in found}
    few = today if len(today) <= LISTED else {}
    new = [repr(value) for key, value in few.items() if key not in known]
    gone = [repr(value) for key, value in known.items() if key not in today]
    text = f"; since its first training the model tells {pinned} apart"
    text += f", {', '.join(new[:_SHOWN])} {_be(new)} new" if new else ""
    return text + (f", {' and '.join(gone)} {_be(gone)} gone" if gone else "")


def _be(values: list[str]) -> str:
    return "is" if len(values) == 1 else "are"


def _listing(values: list[Any]) -> str:
    if len(values) > LISTED:
        return "too many to be classes"
    shown = ", ".join(map(repr, values[:_SHOWN]))
    more = len(values) - _SHOWN
    return shown + (f" and {more:,} more" if more > 0 else "")
