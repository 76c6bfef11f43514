"""An installation made once, and copied to whatever storage and database a test has."""

import os
import shutil
from pathlib import Path

from sqlalchemy import create_engine, insert, select

from ml_assets.core.storage import Storage, storage
from ml_assets.state.engine import writing
from ml_assets.state.schema import metadata

# What of a home is in the storage.
OBJECTS = (
    *("tables", "reports", "versions", "segments", "unshipped", "predictions"),
    *("labels", "plans", "pinned"),
)
STATE = "state.db"


def copy_installation(source: Path, home: Path) -> None:
    """Copy the home `source`, a directory and SQLite, into `home` and what it names.

    ``ML_ASSETS_STORAGE`` and ``ML_ASSETS_DATABASE_URL`` say where objects and rows go.
    """
    ignored = shutil.ignore_patterns(f"{STATE}*", *OBJECTS)
    top = ignored(str(source), os.listdir(source))
    shutil.copytree(
        source,
        home,
        ignore=lambda path, _: top if Path(path) == source else set(),
        dirs_exist_ok=True,
    )
    copy_rows(source)
    copy_objects(source)


def copy_objects(source: Path, *prefixes: str) -> None:
    """Make the objects below these prefixes, or all, those of the home `source`."""
    given, wanted = Storage(str(source)), storage()
    for prefix in prefixes or OBJECTS:
        wanted.remove([info.name for info in wanted.objects(prefix)])
        for info in given.objects(prefix):
            wanted.put(info.name, given.get(info.name) or b"")


def copy_rows(source: Path) -> None:
    """Make the rows of the database those of the home `source`."""
    engine = create_engine(f"sqlite:///{source / STATE}")
    with engine.connect() as given, writing("copy") as connection:
        for table in reversed(metadata.sorted_tables):
            connection.execute(table.delete())
        for table in metadata.sorted_tables:
            rows = [row._asdict() for row in given.execute(select(table))]
            if rows:
                connection.execute(insert(table), rows)
    engine.dispose()
