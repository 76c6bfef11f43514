"""The checked rows of a request."""

from collections.abc import Sequence

import msgspec

Value = float | int | str | bool | None


class UnseenCategory(
    msgspec.Struct, frozen=True, tag_field="type", tag="unseen-category"
):
    """The rows of a request, counted from 0, whose category training did not see."""

    column: str
    rows: list[int]


class Batch(msgspec.Struct, frozen=True, gc=False):
    """Rows by column: `row` if there is one only, and else `columns`.

    Both are in the order of the signature; each column holds `size` values. `entities`
    names whom each row is about, where the request does. `by_row` holds the rows
    where they came as rows, and `text` the JSON array of them, if it was sent so that
    a line can hold it. `unseen` names the categories that are taken as unknown.
    """

    size: int
    row: Sequence[Value] | None
    columns: Sequence[Sequence[Value]]
    by_row: Sequence[Sequence[Value]] | None = None
    entities: Sequence[str | None] | None = None
    text: bytes | None = None
    unseen: Sequence[UnseenCategory] = ()

    @property
    def rows(self) -> Sequence[Sequence[Value]]:
        """The values of each row."""
        if self.row is not None:
            return (self.row,)
        return self.by_row or list(zip(*self.columns, strict=True))


def of_columns(columns: Sequence[Sequence[Value]]) -> Batch:
    """The batch of checked columns."""
    size = len(columns[0])
    row = tuple(column[0] for column in columns) if size == 1 else None
    return Batch(size, row, columns)


def of_rows(rows: Sequence[Sequence[Value]]) -> Batch:
    """The batch of checked rows."""
    if len(rows) == 1:
        return Batch(1, rows[0], ())
    return Batch(len(rows), None, list(zip(*rows, strict=True)), rows)
