"""Tables, contracts and what training fixed, of an installation of before release 0.2.

Its pointers, contracts, classes and identities are files, which become rows. Parquet
and validation reports are uploaded under the names that they had. Values between the
steps of a run stay behind: only a run of the old installation goes on with them.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import Connection, Table, select

from ml_assets.core.files import is_name, read_json
from ml_assets.core.storage import storage
from ml_assets.state.engine import writing
from ml_assets.state.rows import replace
from ml_assets.state.schema import (
    CURRENT,
    NEWEST,
    blocked_contracts,
    contracts,
    first_trainings,
    table_pointers,
    validations,
)

# Row of `first_trainings` by the directory of the old files.
KINDS = {"classes": "classes", "identities": "identity"}


class MovedTables(NamedTuple):
    """What of one model was there; rows that the state had already stay as they are."""

    model: str
    tables: int
    rows: int


def migrate_tables(source: Path) -> Iterator[MovedTables]:
    """Copy tables, reports, contracts and what training fixed, of every model.

    It may be repeated whenever it was interrupted. Objects are there before the rows
    that name them.

    Parameters
    ----------
    source : Path
        The old ``ML_ASSETS_STORAGE``, which stays as it is. It may be what the storage
        is now.
    """
    names = {path.name for kind in ("tables", "reports") for path in _in(source / kind)}
    named = ("contracts", *KINDS)
    names |= {path.stem for kind in named for path in (source / kind).glob("*.json")}
    # A note on blocked data is called like a model with a suffix, and is none.
    models = {name.removesuffix(".blocked") for name in names}
    for model in sorted(filter(is_name, models)):
        paths = [*(source / "tables" / model).glob("*/[!.]*.parquet")]
        reports = [*(source / "reports" / model / "validation").glob("[!.]*.json")]
        for path in (*paths, *reports):
            _upload(source, path)
        with writing(model) as connection:
            rows = [
                _insert(connection, table, {"model": model, **row})
                for table, row in _rows(source, model, reports)
            ]
        yield MovedTables(model, len(paths), sum(rows))


def _in(directory: Path) -> list[Path]:
    return [*directory.iterdir()] if directory.is_dir() else []


def _upload(source: Path, path: Path) -> None:
    name = path.relative_to(source).as_posix()
    if storage().local(name) != path:
        storage().upload(name, path)


def _rows(
    source: Path, model: str, reports: list[Path]
) -> Iterator[tuple[Table, dict[str, Any]]]:
    for stage in _in(source / "tables" / model):
        last = [stage / f"{name}.json" for name in (CURRENT, NEWEST)]
        for path in (*last, *(stage / "runs").glob("[!.]*.json")):
            pointer = read_json(path)
            if pointer is not None:
                key = {"stage": stage.name, "run": path.stem}
                made = path.stat().st_mtime
                yield table_pointers, {"made_of": None, **pointer, **key, "made": made}
    for path in reports:
        passed = bool(read_json(path)["summary"]["passed"])
        name = path.relative_to(source).as_posix()
        row = {"data_version": path.stem, "report": name, "passed": passed}
        yield validations, row
    contract = source / "contracts" / f"{model}.json"
    if contract.exists():
        row = {"contract": contract.read_text(), "accepted": contract.stat().st_mtime}
        yield contracts, row
    blocked = read_json(source / "contracts" / f"{model}.blocked.json")
    if blocked is not None:
        yield blocked_contracts, blocked
    for directory, kind in KINDS.items():
        fixed = read_json(source / directory / f"{model}.json")
        if fixed is not None:
            yield first_trainings, {
                "kind": kind,
                "target": fixed.pop("target"),
                "fixed": fixed,
            }


def _insert(connection: Connection, table: Table, row: dict[str, Any]) -> bool:
    """Write a row where there is none; what was written since counts for more."""
    same = [column == row[column.name] for column in table.primary_key]
    if connection.execute(select(*table.primary_key).where(*same)).first() is not None:
        return False
    replace(connection, table, **row)
    return True
