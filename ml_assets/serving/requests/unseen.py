"""Categories that training did not see, in columns that take them as unknown."""

from collections.abc import Callable, Sequence, Set
from functools import lru_cache, partial
from typing import Any

from msgspec.structs import replace

from ml_assets.core.canonical import match_category
from ml_assets.records.plan import Column
from ml_assets.serving.requests.batch import Batch, UnseenCategory, Value

# Texts so short are remembered, so many of a column: callers repeat themselves.
_SHORT, _REMEMBERED = 64, 256


class OpenColumns:
    """The columns of a version whose list of categories is open.

    Examples
    --------
    >>> plan = Column(name="plan", kind="string", categories=("1", "b"), open=True)
    >>> columns = OpenColumns([plan])
    >>> columns.unseen([["b", "z", None]])
    [UnseenCategory(column='plan', rows=[1])]
    """

    def __init__(self, columns: Sequence[Column]) -> None:
        # A column without a list takes any text, and none of them is unseen.
        self._columns = [
            (
                *(index, item.name, frozenset((*item.categories, None))),
                *(_matcher(item.categories), UnseenCategory(item.name, [0])),
            )
            for index, item in enumerate(columns)
            if item.open and item.categories
        ]

    def __bool__(self) -> bool:
        return bool(self._columns)

    def unseen(self, values: Sequence[Sequence[Value]]) -> list[UnseenCategory]:
        """The categories among checked columns that are in none of the lists."""
        return [
            UnseenCategory(name, _rows(known, values[index]))
            for index, name, known, _, _ in self._columns
            if not known.issuperset(values[index])
        ]

    def with_unseen(self, batch: Batch) -> Batch | None:
        """The batch of decoded texts, and which of them are unseen.

        None if one is a category in another notation, as "1.0" may be of "1".
        """
        if batch.row is not None:
            found = self._of_row(batch.row)
        else:
            found = self._of_columns(batch.columns)
        return None if found is None else replace(batch, unseen=found)

    def _of_row(self, row: Sequence[Value]) -> list[UnseenCategory] | None:
        found = []
        for index, _, known, match, alone in self._columns:
            text = row[index]
            if text not in known:
                if match(text) is not None:
                    return None
                found.append(alone)
        return found

    def _of_columns(
        self, columns: Sequence[Sequence[Value]]
    ) -> list[UnseenCategory] | None:
        found = []
        for index, name, known, match, _ in self._columns:
            cells = columns[index]
            if not known.issuperset(cells):
                if any(match(text) is not None for text in {*cells} - known):
                    return None
                found.append(UnseenCategory(name, _rows(known, cells)))
        return found


def _rows(known: Set[Value], cells: Sequence[Value]) -> list[int]:
    """The rows whose cell is not known."""
    return [row for row, cell in enumerate(cells) if cell not in known]


def _matcher(categories: tuple[str, ...]) -> Callable[[Any], str | None]:
    """Which of the categories a text is in any notation."""
    match = partial(match_category, categories)
    remembered = lru_cache(_REMEMBERED)(match)
    return lambda text: remembered(text) if len(text) <= _SHORT else match(text)
