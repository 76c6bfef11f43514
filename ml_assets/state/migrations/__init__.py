"""The schema of the state, which Alembic brings forward where it is older."""

from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, column, inspect, select, table, text

# Oldest first. Each is a file under ``versions/``.
REVISIONS = ("0001",)
VERSION_TABLE = "ml_assets_version"
# Any number of our own: one process at a time changes a schema.
_LOCK = 7_110_427_001


class NewerSchemaError(Exception):
    """The database was written by a later release of this package."""


def upgrade(engine: Engine, schema: str) -> None:
    """Bring the database forward to the newest revision of this code.

    Parameters
    ----------
    schema : str
        Of Postgres; it is created where it is missing.

    Raises
    ------
    NewerSchemaError
        If the database is at a revision that this code does not know.
    """
    with engine.connect() as connection:
        if not pending(connection):
            return
    with engine.connect().execution_options(begin="BEGIN IMMEDIATE") as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
            connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {schema}"))
        # Another process may have done it while this one waited.
        if pending(connection):
            _run(connection)
        connection.commit()


def pending(connection: Connection) -> list[str]:
    """Revisions that the database lacks, oldest first.

    Raises
    ------
    NewerSchemaError
        If the database is at a revision that this code does not know.
    """
    if not inspect(connection).has_table(VERSION_TABLE):
        return [*REVISIONS]
    number: Any = column("version_num")
    found = connection.scalar(select(number).select_from(table(VERSION_TABLE)))
    if found is None:
        return [*REVISIONS]
    if found not in REVISIONS:
        raise NewerSchemaError(
            f"the database of the state is at revision {found}, and this release knows"
            f" up to {REVISIONS[-1]}: a later release wrote it; run that one, or"
            " restore a backup from before its upgrade"
        )
    return [*REVISIONS[REVISIONS.index(found) + 1 :]]


def _run(connection: Connection) -> None:
    from alembic.config import Config
    from alembic.runtime.environment import EnvironmentContext
    from alembic.script import ScriptDirectory

    script = ScriptDirectory(str(Path(__file__).parent))

    def steps(revision: Any, _: Any) -> Any:
        return script._upgrade_revs("head", revision)

    with EnvironmentContext(Config(), script, fn=steps) as environment:
        environment.configure(
            connection=connection, version_table=VERSION_TABLE, transactional_ddl=True
        )
        environment.run_migrations()
