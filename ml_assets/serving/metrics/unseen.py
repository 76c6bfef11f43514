"""Rows with categories that training did not see, counted by column."""

import threading
from collections.abc import Iterable, Sequence
from typing import Protocol


class UnseenRows(Protocol):
    """The rows of a request that have such a category in one column."""

    @property
    def column(self) -> str: ...

    @property
    def rows(self) -> Sequence[int]: ...


class Unseen:
    """How many rows of a model had such a category, by column.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> unseen = Unseen()
    >>> unseen.begin(["plan", "city"])
    >>> unseen.add([SimpleNamespace(column="city", rows=[0, 3])])
    >>> unseen.rows
    {'plan': 0, 'city': 2}
    """

    def __init__(self) -> None:
        self.rows: dict[str, int] = {}
        self._lock = threading.Lock()

    def begin(self, columns: Iterable[str]) -> None:
        """Count from 0 on: a counter that appears with 1 would not be seen to rise."""
        with self._lock:
            for column in columns:
                self.rows.setdefault(column, 0)

    def add(self, items: Iterable[UnseenRows]) -> None:
        """Count the rows of some columns."""
        counts = self.rows
        with self._lock:
            for item in items:
                column = item.column
                counts[column] = counts.get(column, 0) + len(item.rows)
