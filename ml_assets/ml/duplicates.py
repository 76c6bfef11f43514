"""Repeated rows of a window, and how many independent rows it is worth.

A client that asks again and again, or an entity with many requests, makes a window seem
larger than it is, and any test of it too sure. But a column that loses its values makes
rows alike as well, and that is drift: what counts as a repetition may not hide it.
"""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]
# A value that chance gives to fewer rows of the window than this is a row's own.
FEW = 0.05
# It is in few other rows than those that are identical, and in few rows at all: a value
# that a broken source writes into every row is no row's own.
ELSEWHERE, MOST, LEAST = 1.5, 0.05, 5
# A window is thinned from this factor on; below it, chance makes as much.
NOTABLE = 1.5


class MatchRates(NamedTuple):
    """How often two rows of training have the same values.

    Attributes
    ----------
    columns : dict of str to float
        Chance that two rows have the same value of a column; missing ones never have.
    but_one : float
        Chance that two rows are identical but for one column, whichever distinguishes
        most: if that column lost its values, they would be identical.
    """

    columns: dict[str, float]
    but_one: float


def match_rates(frame: pd.DataFrame) -> MatchRates:
    """Count how often two rows of a table have the same values.

    Examples
    --------
    >>> table = pd.DataFrame({"age": [20.5, 31.0, 40.5], "owner": [True, True, False]})
    >>> found = match_rates(table)
    >>> found.columns["age"], round(found.columns["owner"], 2), round(found.but_one, 2)
    (0.0, 0.33, 0.33)
    """
    hashes = _columns(frame)
    rows = _summed(hashes, len(frame))
    return MatchRates(
        {
            name: _chance(values[frame[name].notna().to_numpy()], len(frame))
            for name, values in hashes.items()
        },
        max((_chance(rows - h, len(frame)) for h in hashes.values()), default=1.0),
    )


def independent_rows(
    frame: pd.DataFrame, reference: MatchRates | None, entities: Any = None
) -> NDArray[np.int64]:
    """Positions of the rows that count as independent, in their order.

    An entity counts once, by its last row. Of rows without an entity, identical ones
    count once if they share a value that is a row's own. A window that is still more
    repetitive than a table like that of training which lost a column is thinned evenly:
    shares stay what they are, and the number of rows becomes what they are worth.

    Parameters
    ----------
    frame : DataFrame of shape (n_rows, n_columns)
        The window, with the columns of the reference.
    reference : MatchRates, optional
        Of the rows of training; None where an older profile lacks it.
    entities : sequence of str or None, of length n_rows, optional
        Whom each row is about.

    Examples
    --------
    >>> training = pd.DataFrame({"age": np.arange(50) / 7, "owner": [True, False] * 25})
    >>> polled = training.iloc[[*range(40), *[3] * 2]]
    >>> len(independent_rows(polled, match_rates(training)))
    40
    >>> independent_rows(polled[:4], None, ["a", "b", None, "a"]).tolist()
    [1, 2, 3]
    """
    named = np.zeros(len(frame), dtype=bool)
    rows = np.arange(len(frame))
    if entities is not None:
        who = pd.Series(list(entities), dtype=object)
        named = who.notna().to_numpy()
        rows = rows[~(named & who.duplicated(keep="last").to_numpy())]
    rest = rows[~named[rows]]
    if reference is not None and len(rest) and len(frame.columns) > 1:
        part = frame.iloc[rest]
        hashes = _columns(part)
        contents = _summed(hashes, len(part))
        once = _once(part, hashes, contents, reference)
        rest = rest[once][_thinned(contents[once], reference.but_one)]
    return np.sort(np.concatenate([rows[named[rows]], rest]))


def _once(
    frame: pd.DataFrame, hashes: dict[str, Hashes], rows: Hashes, reference: MatchRates
) -> NDArray[np.bool_]:
    """False for each row that repeats an earlier one."""
    n = len(frame)
    repeats = pd.Series(rows).duplicated().to_numpy()
    if not repeats.any():
        return ~repeats
    identical = _sizes(rows)
    own = np.zeros(n, dtype=bool)
    for name, values in hashes.items():
        if reference.columns.get(name, 1.0) * n < FEW:
            same = _sizes(values)
            few = (same <= ELSEWHERE * identical) & (same <= max(MOST * n, LEAST))
            own |= few & frame[name].notna().to_numpy()
    return ~(own & repeats)


def _thinned(rows: Hashes, but_one: float) -> NDArray[np.int64]:
    """Positions of as many rows as the window is worth, by Kish's design effect."""
    n = len(rows)
    # No single row, such as that of a probe, makes all the others worthless.
    sizes = np.minimum(np.unique(rows, return_counts=True)[1], max(MOST * n, 1.0))
    effect = float((sizes**2).sum() / sizes.sum() / (1 + (n - 1) * but_one))
    if effect < NOTABLE:
        return np.arange(n)
    worth = max(int(n / effect), 1)
    steps = np.floor((np.arange(worth) + 0.5) * n / worth).astype(np.int64)
    # In the order of their content, so that each content keeps its share.
    return np.sort(np.argsort(rows, kind="stable")[steps])


def _columns(frame: pd.DataFrame) -> dict[str, Hashes]:
    """A number for each value, and of each column another one for the same value."""
    found: dict[str, Hashes] = {}
    for at, name in enumerate(frame.columns):
        values = pd.util.hash_pandas_object(frame[name], index=False)
        # Odd factors, so that the same value in two columns is not the same number.
        found[str(name)] = np.asarray(values, np.uint64) * np.uint64(2 * at + 1)
    return found


def _summed(hashes: dict[str, Hashes], n: int) -> Hashes:
    return sum(hashes.values(), np.zeros(n, dtype=np.uint64))


def _sizes(values: Hashes) -> NDArray[np.int64]:
    """How many rows have the value of each row."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    found: NDArray[np.int64] = counts[inverse]
    return found


def _chance(values: Hashes, n: int) -> float:
    """That two of n rows have the same of these values."""
    if n < 2:
        return 1.0
    sizes = np.unique(values, return_counts=True)[1].astype(np.float64)
    return float((sizes * (sizes - 1)).sum() / (n * (n - 1)))
