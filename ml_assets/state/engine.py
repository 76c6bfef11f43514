"""The database of the state: one URL, transactions, and a schema that moves forward.

``ML_ASSETS_DATABASE_URL`` names it: SQLite in the home directory by default, Postgres
on a cluster, where its tables stand in a schema of their own beside those of Dagster.
"""

import contextlib
import functools
import hashlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from ml_assets.core.errors import UnavailableError
from ml_assets.core.extras import MissingExtraError, require_extra
from ml_assets.core.files import home
from ml_assets.core.retry import Retry
from ml_assets.state import migrations

VARIABLE = "ML_ASSETS_DATABASE_URL"
SCHEMA = "ml_assets"
# A writer waits so long for another one to end its transaction.
BUSY_SECONDS = 60
_WAITING = Retry(attempts=2 * BUSY_SECONDS, first=0.01, longest=1.0)


class StateError(UnavailableError):
    """The database cannot be used; the message says why and what to do."""


def database_url() -> str:
    """``ML_ASSETS_DATABASE_URL``, by default the Postgres of the Dagster instance.

    Where neither is there, it is SQLite in the home directory.
    """
    found = os.environ.get(VARIABLE) or _dagster_url(os.environ.get("DAGSTER_HOME"))
    return found or f"sqlite:///{home() / 'state.db'}"


def _dagster_url(directory: str | None) -> str | None:
    """Whoever shares an instance among machines shares the state as well."""
    if not directory:
        return None
    try:
        settings = (Path(directory) / "dagster.yaml").read_text("utf-8")
    except FileNotFoundError:
        return None
    return _postgres_of(directory, settings) if "postgres" in settings else None


@functools.lru_cache(maxsize=4)
def _postgres_of(directory: str, settings: str) -> str | None:
    import dagster as dg

    with dg.DagsterInstance.from_config(directory) as instance:
        found = getattr(instance.run_storage, "postgres_url", None)
    return str(found) if found else None


@contextlib.contextmanager
def reading() -> Iterator[Connection]:
    """A connection whose statements all see the state of one moment.

    Raises
    ------
    StateError
        If the database cannot be reached, or is newer than this code.
    """
    with _connected("REPEATABLE READ", "BEGIN") as connection:
        yield connection


@contextlib.contextmanager
def writing(subject: str) -> Iterator[Connection]:
    """A transaction in which nobody else writes of `subject`; it commits at the end.

    Parameters
    ----------
    subject : str
        A model, or another thing that has a ledger of its own.

    Raises
    ------
    StateError
        If the database cannot be reached, or is newer than this code.
    """
    with _connected("READ COMMITTED", "BEGIN IMMEDIATE") as connection:
        if connection.dialect.name == "postgresql":
            number = hashlib.sha256(f"{SCHEMA}/{subject}".encode()).digest()[:8]
            key = int.from_bytes(number, byteorder="big", signed=True)
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": key})
        yield connection
        connection.commit()


@contextlib.contextmanager
def _connected(isolation: str, begin: str) -> Iterator[Connection]:
    engine = _engine(database_url(), os.getpid())
    options = {"begin": begin}
    if engine.dialect.name == "postgresql":
        options["isolation_level"] = isolation
    try:
        with engine.connect().execution_options(**options) as connection:
            yield connection
    except SQLAlchemyError as error:
        raise _refusal(error) from error


def _refusal(error: SQLAlchemyError) -> StateError:
    reason = str(getattr(error, "orig", None) or error).strip()
    shown = make_url(database_url()).render_as_string(hide_password=True)
    return StateError(f"the database {shown} of the state: {reason}")


def pending_revisions() -> list[str]:
    """Revisions of the schema that the database lacks; the first use applies them.

    Raises
    ------
    StateError
        If the database cannot be reached, or is newer than this code.
    """
    address = database_url()
    try:
        with _bare_engine(address).connect() as connection:
            return migrations.pending(connection)
    except SQLAlchemyError as error:
        raise _refusal(error) from error
    except migrations.NewerSchemaError as error:
        raise StateError(str(error)) from error


@functools.lru_cache(maxsize=4)
def _engine(address: str, process: int) -> Engine:
    """The engine of one process: connections do not survive a fork."""
    engine = _bare_engine(address)
    try:
        migrations.upgrade(engine, SCHEMA)
    except SQLAlchemyError as error:
        raise _refusal(error) from error
    except migrations.NewerSchemaError as error:
        raise StateError(str(error)) from error
    return engine


def _bare_engine(address: str) -> Engine:
    """An engine whose database may be of another revision."""
    url = make_url(address)
    if url.get_backend_name() == "sqlite":
        engine = create_engine(url, poolclass=NullPool)
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        _make_directory(address)
    elif url.get_backend_name() == "postgresql":
        try:
            require_extra("postgres", "the state on Postgres")
        except MissingExtraError as error:
            raise StateError(str(error)) from None
        engine = create_engine(
            url.set(drivername="postgresql+psycopg2"),
            pool_size=2,
            pool_pre_ping=True,
            connect_args={
                "connect_timeout": 10,
                "application_name": "ml-assets state",
                "options": f"-c search_path={SCHEMA} -c lock_timeout={BUSY_SECONDS}s",
            },
        )
    else:
        raise StateError(
            f"ML_ASSETS_DATABASE_URL names {url.get_backend_name()}, expected sqlite or"
            " postgresql"
        )
    return engine


def _make_directory(address: str) -> None:
    path = Path(make_url(address).database or ".")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StateError(f"the database {address} of the state: {error}") from error


def _prepare_sqlite(connection: object, _: object) -> None:
    # SQLAlchemy's `begin` event opens the transactions, and not the driver.
    connection.isolation_level = None  # type: ignore[attr-defined]
    cursor = connection.cursor()  # type: ignore[attr-defined]
    cursor.execute(f"PRAGMA busy_timeout = {1000 * BUSY_SECONDS}")
    _WAITING.call(lambda: _write_ahead(cursor), _BusyError)
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()


class _BusyError(sqlite3.OperationalError):
    """Another process changes the journal."""


def _write_ahead(cursor: sqlite3.Cursor) -> None:
    try:
        cursor.execute("PRAGMA journal_mode = WAL")
    except sqlite3.OperationalError as error:
        # The busy timeout does not hold for this: whoever is second is refused at once.
        if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY:
            raise _BusyError(str(error)) from error
        raise


def _begin_sqlite(connection: Connection) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get("begin", "BEGIN"))
