"""Statements that several stores need, and what one alone reads."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, Table, and_, select, true

from ml_assets.state.engine import reading, writing

Values = Mapping[str, Any]
# SQLite and Postgres take more, but not without end.
PARAMETERS = 500


def read_rows(statement: Select[Any]) -> Sequence[Any]:
    """The rows of a statement, in a transaction of its own."""
    with reading() as connection:
        return connection.execute(statement).all()


def read_row(statement: Select[Any]) -> Any:
    """The first row; None where there is none."""
    with reading() as connection:
        return connection.execute(statement).first()


def read_values(statement: Select[Any]) -> list[Any]:
    """The first column of every row."""
    with reading() as connection:
        return [*connection.scalars(statement)]


def read_value(statement: Select[Any]) -> Any:
    """The first column of the first row; None where there is no row."""
    with reading() as connection:
        return connection.scalar(statement)


def parts(values: Iterable[Any]) -> Iterator[list[Any]]:
    """As many values at once as a statement takes."""
    found = [*values]
    for at in range(0, len(found), PARAMETERS):
        yield found[at : at + PARAMETERS]


def present(column: ColumnElement[str], values: Iterable[str]) -> set[str]:
    """Those of `values` that a row has in `column`."""
    with reading() as connection:
        return {
            found
            for part in parts(values)
            for found in connection.scalars(select(column).where(column.in_(part)))
        }


def matching(table: Table, **values: Any) -> ColumnElement[bool]:
    """The condition that columns of a row have these values."""
    return and_(true(), *(table.c[name] == value for name, value in values.items()))


def fields(table: Table, kind: Any) -> Select[Any]:
    """The columns that the named tuple `kind` has, in its order."""
    return select(*(table.c[name] for name in kind._fields))


def replace(connection: Connection, table: Table, **row: Any) -> None:
    """Write a row, in place of the one with its key if there is one."""
    key = {column.name: row[column.name] for column in table.primary_key}
    connection.execute(table.delete().where(matching(table, **key)))
    connection.execute(table.insert().values(row))


def delete_rows(subject: str, table: Table, **values: Any) -> None:
    """Delete the rows with these values, in a transaction of `writing(subject)`."""
    with writing(subject) as connection:
        connection.execute(table.delete().where(matching(table, **values)))


def add_missing(
    connection: Connection, table: Table, rows: Iterable[Values], **shared: Any
) -> int:
    """Insert the rows whose key is not there yet; how many were not.

    Every row names the same columns, all of the key among them; `shared` are values
    that all have, so that no others are read.
    """
    key = [column.name for column in table.primary_key]
    wanted = select(*table.primary_key).where(matching(table, **shared))
    known = {tuple(row) for row in connection.execute(wanted)}
    new = [row for row in rows if tuple(row[name] for name in key) not in known]
    if new:
        connection.execute(table.insert(), new)
    return len(new)
