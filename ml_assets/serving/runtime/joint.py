"""Category columns that are read several at a time, by one look-up a row.

A row's values in some columns are the key of one table of codes: half of the look-ups,
and half of what is done with their results, for a few more rows in the kernel's tables.
"""

from collections.abc import Iterable, Sequence
from itertools import product
from math import prod
from operator import itemgetter
from typing import Any

from ml_assets.serving.runtime.program import CategorySource
from ml_assets.serving.runtime.sources import BYTE_CODES, Codes, codes_in, codes_of


class Joint:
    """Some category sources, whose codes count like digits, the last one fastest.

    Parameters
    ----------
    places
        Which sources of the program these are.
    sources
        The sources.

    Examples
    --------
    >>> sex = CategorySource(column=0, categories=["Female", "Male"])
    >>> owner = CategorySource(column=1, categories=[False, True])
    >>> joint = Joint((0, 1), [sex, owner])
    >>> joint.table["Female", False], joint.table["Male", None], joint.size
    (0, 6, 16)
    >>> joint.codes([["Female", "other"], [True, True]]).tolist()
    [1, 13]
    """

    def __init__(
        self, places: Sequence[int], sources: Sequence[CategorySource]
    ) -> None:
        self.places = tuple(places)
        self._columns = [source.column for source in sources]
        self.key = itemgetter(*self._columns)
        self.size = _size(sources)
        self.table: dict[Any, int] = (
            codes_of(sources[0]) if len(sources) == 1 else _JointTable(sources)
        )

    def codes(self, columns: Sequence[Sequence[Any]]) -> Codes:
        """The code of each row of request columns."""
        keys: Iterable[Any] = self.key(columns)
        if len(self._columns) > 1:
            keys = zip(*keys)
        return codes_in(self.table, keys, len(columns[0]))


class _JointTable(dict[Any, int]):
    """Values of several columns to their code."""

    def __init__(self, sources: Sequence[CategorySource]) -> None:
        self._parts = [codes_of(source) for source in sources]
        super().__init__({key: self[key] for key in product(*self._parts)})

    def __missing__(self, key: tuple[Any, ...]) -> int:
        # Unknown values are not remembered: there is no end of them.
        code = 0
        for part, value in zip(self._parts, key, strict=True):
            code = code * (len(part) + 1) + part[value]
        return code


def joined(sources: Sequence[CategorySource], most: int) -> list[Joint]:
    """The sources in few groups, none of more than `most` or 256 codes if of several.

    Examples
    --------
    >>> sizes = [41, 2, 16, 14]
    >>> sources = [
    ...     CategorySource(column=at, categories=[*range(size)])
    ...     for at, size in enumerate(sizes)
    ... ]
    >>> [joint.places for joint in joined(sources, 1000)]
    [(0, 1), (2,), (3,)]
    """
    groups: list[list[int]] = []
    # The largest first, each to the first group that has room: the fewest groups.
    for place in sorted(range(len(sources)), key=lambda at: -_size([sources[at]])):
        for group in groups:
            size = _size([sources[at] for at in (*group, place)])
            if size <= min(most, BYTE_CODES):
                group.append(place)
                break
        else:
            groups.append([place])
    return [Joint(group, [sources[at] for at in group]) for group in groups]


def _size(sources: Iterable[CategorySource]) -> int:
    """How many codes some sources have together."""
    # Missing and unknown values have codes too.
    return prod(len(source.categories) + 2 for source in sources)
