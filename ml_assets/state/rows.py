"""Statements on single rows that several stores need."""

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Connection, Table, and_, select

Row = Mapping[str, Any]


def replace(connection: Connection, table: Table, **row: Any) -> None:
    """Write a row, in place of the one with its key if there is one."""
    same = and_(*(column == row[column.name] for column in table.primary_key))
    connection.execute(table.delete().where(same))
    connection.execute(table.insert().values(row))


def add_missing(connection: Connection, table: Table, rows: Iterable[Row]) -> int:
    """Insert the rows whose key is not there yet; how many were not.

    Every row names the same columns, all of the key among them.
    """
    key = [column.name for column in table.primary_key]
    known = {tuple(row) for row in connection.execute(select(*table.primary_key))}
    new = [row for row in rows if tuple(row[name] for name in key) not in known]
    if new:
        connection.execute(table.insert(), new)
    return len(new)
