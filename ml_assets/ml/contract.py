"""The schema contract: what the last accepted data was like, compared with new data.

Expectations are what an author knows; the contract is what nobody wrote down: which
columns there are, of which types, with which categories and ranges.
"""

import difflib
import re
from collections import Counter
from collections.abc import Collection, Iterator

import msgspec
import pandas as pd

from ml_assets.core.decoding import from_json
from ml_assets.ml.column_contract import ColumnContract, Violation, percent
from ml_assets.records.plan import encode

__all__ = ["ColumnContract", "Contract", "Violation"]

# Fewer rows than this share of the accepted ones are part of an export.
ROWS_KEPT = 0.5


class Contract(msgspec.Struct, frozen=True, kw_only=True):
    """What accepted data was like: its columns in order and its number of rows.

    Examples
    --------
    >>> accepted = pd.DataFrame({"age": [39, 50], "sex": ["Male", "Female"]})
    >>> contract = Contract.learn(accepted)
    >>> contract.compare(accepted)
    []
    >>> [v.message for v in contract.compare(accepted.drop(columns="sex"))]
    ['column sex: missing, found age']
    >>> Contract.from_json(contract.to_json()) == contract
    True
    """

    rows: int
    columns: tuple[ColumnContract, ...]

    @classmethod
    def learn(cls, frame: pd.DataFrame) -> "Contract":
        """The contract that `frame` fulfils.

        Raises
        ------
        ValueError
            If a column name occurs twice, or there are no rows to learn from.
        """
        twice = _repeated(frame)
        if twice:
            raise ValueError(
                f"column names must be unique, found {', '.join(twice)} repeatedly"
            )
        if frame.empty:
            raise ValueError("a contract needs rows to learn from, found none")
        learned = (ColumnContract.learn(str(n), frame[n]) for n in frame.columns)
        return cls(rows=len(frame), columns=tuple(learned))

    def compare(
        self,
        frame: pd.DataFrame,
        dropped: Collection[str] = (),
        keys: Collection[str] = (),
        ignored: Collection[str] = (),
    ) -> list[Violation]:
        """How `frame` breaks this contract: the table first, then column by column.

        An error is: a missing or repeated column, a new column that is a learned one
        spelt otherwise, less than half the rows, a changed type, more than 1 % of the
        rows with unseen categories or with numbers beyond the learned range by more
        than its width, and a rise of the missing share by more than 10 points. Lesser
        changes of the same sort are warnings. Dates and identifiers are not
        compared by value.

        Parameters
        ----------
        frame : DataFrame of shape (n_rows, n_columns)
        dropped : collection of str
            Columns that nothing reads: they need to be there, no more.
        keys : collection of str
            Columns that are not compared by value.
        ignored : collection of str
            Columns that are not compared at all: they may be new or missing.
        """
        rest = frame.loc[:, [name not in ignored for name in frame.columns]]
        kept = tuple(item for item in self.columns if item.name not in ignored)
        contract = msgspec.structs.replace(self, columns=kept)
        return list(contract._violations(rest, dropped, keys))

    def to_json(self) -> str:
        """The contract as JSON text, the same text for the same data."""
        return encode(self).decode()

    @classmethod
    def from_json(cls, text: str | bytes) -> "Contract":
        """The contract that `to_json` wrote."""
        return from_json(text, cls)

    def _violations(
        self, frame: pd.DataFrame, dropped: Collection[str], keys: Collection[str]
    ) -> Iterator[Violation]:
        yield from self._rows(len(frame))
        twice = _repeated(frame)
        for name in twice:
            times = list(frame.columns).count(name)
            yield Violation.of_column(
                name, "repeated_column", "error", f"occurs {times} times"
            )
        found = [str(name) for name in frame.columns]
        known = [column.name for column in self.columns]
        yield from _new_columns(found, known)
        shared = [name for name in known if name in found]
        if not twice and shared != [name for name in found if name in known]:
            yield Violation(
                rule="column_order",
                severity="warning",
                column=None,
                message=f"columns in another order: found {', '.join(found)},"
                f" expected {', '.join(known)}",
                found=found,
                expected=known,
            )
        for column in self.columns:
            if column.name not in found:
                yield _missing_column(column.name, found, known)
            elif column.name not in twice and column.name not in dropped:
                learned = column.without_values() if column.name in keys else column
                yield from learned.compare(frame[column.name], self.rows)

    def _rows(self, rows: int) -> Iterator[Violation]:
        if rows < ROWS_KEPT * self.rows:
            yield Violation(
                rule="row_count",
                severity="error",
                column=None,
                message=f"the table: {rows:,} rows, expected at least"
                f" {percent(ROWS_KEPT)} of the {self.rows:,} of the last accepted data",
                found=rows,
                expected=self.rows,
            )


def _repeated(frame: pd.DataFrame) -> list[str]:
    return [str(name) for name, times in Counter(frame.columns).items() if times > 1]


def _new_columns(found: list[str], known: list[str]) -> Iterator[Violation]:
    spelt = {_normal(name): name for name in known}
    for name in dict.fromkeys(found):
        if name in known:
            continue
        same = spelt.get(_normal(name))
        if same is not None:
            finding = f"new, but {same} spelt otherwise"
            yield Violation.of_column(
                name, "clashing_column", "error", finding, expected=same
            )
        else:
            finding = "new, the last accepted data did not have it"
            yield Violation.of_column(
                name, "new_column", "warning", finding, found=name
            )


def _missing_column(name: str, found: list[str], known: list[str]) -> Violation:
    new = [column for column in found if column not in known]
    close = difflib.get_close_matches(name, new, n=1)
    hint = f"; perhaps it is now called {close[0]}" if close else ""
    listed = ", ".join(new if close else found) or "no column"
    finding = f"missing, found {listed}{hint}"
    return Violation.of_column(name, "missing_column", "error", finding, expected=name)


def _normal(name: str) -> str:
    """`name` without what people and tools change: case, blanks and punctuation."""
    return re.sub(r"[\W_]+", "", name).casefold()
