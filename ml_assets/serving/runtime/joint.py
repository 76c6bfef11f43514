"""Category columns that are read several at a time, as if they were one.

The kernel has half as much to do with their codes, for a few more rows in its tables.
"""

from collections.abc import Iterable, Sequence
from itertools import product
from math import prod
from operator import itemgetter
from typing import Any

from ml_assets.serving.runtime.program import CategorySource
from ml_assets.serving.runtime.sources import BYTE_CODES, Codes, CodeTable


class Joint:
    """Some category sources, whose codes count like digits, the last one fastest.

    Parameters
    ----------
    numbers
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
        self, numbers: Sequence[int], sources: Sequence[CategorySource]
    ) -> None:
        self.numbers = tuple(numbers)
        self.size = _size(sources)
        steps = [_size(sources[at + 1 :]) for at in range(len(sources))]
        parts = [*map(CodeTable, sources, steps)]
        columns = [source.column for source in sources]
        self._parts = [*zip(columns, parts, strict=True)]
        # For one row, a look-up of all its values is the quickest.
        self.key = itemgetter(*columns)
        self.table: dict[Any, int] = parts[0] if len(parts) == 1 else _JointTable(parts)

    def codes(self, columns: Sequence[Sequence[Any]]) -> Codes:
        """The code of each row of request columns."""
        first, *others = (table.codes(columns[column]) for column, table in self._parts)
        for codes in others:
            first = first + codes
        return first


class _JointTable(dict[Any, int]):
    """Values of several columns to their code."""

    def __init__(self, parts: Sequence[CodeTable]) -> None:
        self._parts = [(part.get, part.unknown) for part in parts]
        super().__init__({key: self[key] for key in product(*parts)})

    def __missing__(self, key: tuple[Any, ...]) -> int:
        # Unknown values are not remembered: there is no end of them.
        code = 0
        for (code_of, unknown), value in zip(self._parts, key):
            code += code_of(value, unknown)
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
    >>> [joint.numbers for joint in joined(sources, 1000)]
    [(0, 1), (2,), (3,)]
    """
    groups: list[list[int]] = []
    # The largest first, each to the first group that has room: the fewest groups.
    for number in sorted(range(len(sources)), key=lambda at: -_size([sources[at]])):
        for group in groups:
            size = _size([sources[at] for at in (*group, number)])
            if size <= min(most, BYTE_CODES):
                group.append(number)
                break
        else:
            groups.append([number])
    return [Joint(group, [sources[at] for at in group]) for group in groups]


def _size(sources: Iterable[CategorySource]) -> int:
    """How many codes some sources have together."""
    # Missing and unknown values have codes too.
    return prod(len(source.categories) + 2 for source in sources)
