"""The rows that a query returns."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from ml_assets.core.extras import MissingExtraError, require_extra
from ml_assets.ml.sources.environment import Expanded, expand
from ml_assets.ml.tables import SourceError

if TYPE_CHECKING:
    from sqlalchemy import URL, Connection

_CHUNK_ROWS = 50_000


def read_sql(url: str | None, query: str | None) -> pd.DataFrame:
    """Read the rows of `query` from the database at the SQLAlchemy address `url`.

    The rows are fetched in chunks, inside a transaction that is never committed, and
    on Postgres one that is read-only.

    Raises
    ------
    SourceError
        The address, the connection or the query fails; no password is shown.
    """
    from sqlalchemy import create_engine
    from sqlalchemy.exc import SQLAlchemyError

    where = expand(url, "sql source: url")
    what = expand(query, "sql source: query")
    name = f"sql source {where.shown}"
    address = _address(where, name)
    reason = ""
    try:
        engine = create_engine(address, hide_parameters=True)
        try:
            with engine.connect() as connection:
                return _rows(connection, what.value, name)
        finally:
            engine.dispose()
    except ModuleNotFoundError as error:
        reason = f"the driver '{error.name}' is not installed"
    except SQLAlchemyError as error:
        reason = what.redact(where.redact(_first_line(error)))
    raise SourceError(f"{name}: {reason}")


def _address(where: Expanded, name: str) -> "URL":
    from sqlalchemy import make_url
    from sqlalchemy.exc import SQLAlchemyError

    try:
        address = make_url(where.value)
    except (SQLAlchemyError, ValueError):
        address = None
    if address is None:
        raise SourceError(
            f"{name}: not a database address; expected one such as"
            " postgresql://user:${PGPASSWORD}@host/database"
        )
    if address.drivername in ("postgresql", "postgres"):
        try:
            require_extra("postgres", name)
        except MissingExtraError as error:
            raise SourceError(str(error)) from None
        # SQLAlchemy 2.1 would take psycopg 3; psycopg2 is what the platform has.
        address = address.set(drivername="postgresql+psycopg2")
    if address.get_backend_name() == "sqlite" and _is_absent(address.database):
        # SQLite would create it, and then miss the table.
        raise SourceError(f"{name}: there is no such database file")
    return address


def _is_absent(database: str | None) -> bool:
    if database in (None, "", ":memory:") or str(database).startswith("file:"):
        return False
    return not Path(str(database)).exists()


def _rows(connection: "Connection", query: str, name: str) -> pd.DataFrame:
    options: dict[str, Any] = {
        "stream_results": True,
        # A per cent sign is what it is: in LIKE, for example.
        "no_parameters": True,
    }
    if connection.dialect.name == "postgresql":
        options["postgresql_readonly"] = True
    result = connection.execution_options(**options).exec_driver_sql(query)
    if not result.returns_rows:
        raise SourceError(f"{name}: the query returns no rows; it must be a SELECT")
    names = list(result.keys())
    chunks = [
        pd.DataFrame.from_records(
            [tuple(row) for row in part], columns=names, coerce_float=True
        )
        for part in result.partitions(_CHUNK_ROWS)
    ]
    if not chunks:
        return pd.DataFrame(columns=names)
    return pd.concat(chunks, ignore_index=True)


def _first_line(error: Exception) -> str:
    """The driver's message, without the statement that SQLAlchemy puts after it."""
    original = getattr(error, "orig", None) or error
    return str(original).strip().splitlines()[0]
