"""Values of a table as plain JSON values."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np


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
