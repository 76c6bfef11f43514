"""Statements on single rows that several stores need."""

from typing import Any

from sqlalchemy import Connection, Table, and_


def replace(connection: Connection, table: Table, **row: Any) -> None:
    """Write a row, in place of the one with its key if there is one."""
    same = and_(*(column == row[column.name] for column in table.primary_key))
    connection.execute(table.delete().where(same))
    connection.execute(table.insert().values(row))
