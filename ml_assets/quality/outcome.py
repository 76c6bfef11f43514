"""What one expectation found, in plain JSON values."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
import numpy as np


class ExpectationOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """The result of one expectation on one table.

    Parameters
    ----------
    name : str
        Unique among the expectations of the model, letters, digits and ``_`` only:
        the name of the asset check.
    expectation : str
        Great Expectations name in snake_case.
    kwargs : dict
        As written in the YAML.
    passed : bool
    message : str
        One sentence: the column, what was found and what was expected.
    finding : str or None
        The same in counts and the words of the YAML, without a value of a row; None
        where `message` has no such form.
    unexpected_count : int or None
        Values that break a rule on single values; None for a rule on the whole column
        or table, and where the rule could not be evaluated.
    unexpected_percent : float or None
        The same in percent of the values that are not missing, because a missing value
        breaks no rule but the ones on missing values.
    examples : tuple
        Some distinct unexpected values, in the order of the rows.
    observed : any JSON value
        The figure of a rule on the whole column or table, where it failed.
    error : str or None
        Why the rule could not be evaluated, in Great Expectations' words.
    """

    name: str
    expectation: str
    kwargs: dict[str, Any]
    passed: bool
    message: str
    finding: str | None = None
    unexpected_count: int | None = None
    unexpected_percent: float | None = None
    examples: tuple[Any, ...] = ()
    observed: Any = None
    error: str | None = None


def plain(value: Any) -> Any:
    """`value` as JSON can hold it: missing is None, what JSON lacks is text.

    Examples
    --------
    >>> import numpy as np
    >>> plain((np.float64("nan"), np.int64(3), float("inf")))
    [None, 3, 'inf']
    """
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, np.ndarray | list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return str(value)


def distinct(values: Iterable[Any], limit: int) -> tuple[Any, ...]:
    """The first `limit` distinct `values`, as plain ones.

    Examples
    --------
    >>> distinct(["b", "a", "b", "c"], 2)
    ('b', 'a')
    """
    found: dict[str, Any] = {}
    for value in map(plain, values):
        if len(found) == limit:
            break
        found.setdefault(repr(value), value)
    return tuple(found.values())
