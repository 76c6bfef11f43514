"""What models had in files before release 0.2: small things become rows, large objects.

Objects have the names that the files had, so that an installation whose storage stays
where it is copies nothing but what became rows.
"""

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

from ml_assets.core.decoding import from_json
from ml_assets.core.files import TEMPORARY, is_name, read_json
from ml_assets.core.storage import storage
from ml_assets.records.plan import STAMP
from ml_assets.records.version import VersionRecord
from ml_assets.state.engine import writing
from ml_assets.state.rows import Values, add_missing
from ml_assets.state.schema import (
    CURRENT,
    NEWEST,
    blocked_contracts,
    contracts,
    drift_reports,
    first_trainings,
    table_pointers,
    versions,
)
from ml_assets.state.validations import Validations, data_version_of

# Files of a version that became columns of its row.
COLUMNS = ("record.json", "evaluation.json", "reserved")
FIRST = {"classes": "classes", "identities": "identity"}


def models(source: Path) -> list[str]:
    """What has a table, a version or a logged prediction in the old installation."""
    found = {
        path.name
        for directory in ("tables", "versions", "segments", "predictions", "labels")
        for path in (source / directory).glob("*")
        if path.is_dir() and is_name(path.name)
    }
    return sorted(found)


def objects(source: Path, model: str) -> dict[str, Path]:
    """Name of each object that the storage is to have of a model, and its old file."""
    found = {}
    for kind in ("tables", "versions", "reports"):
        for path in sorted((source / kind / model).rglob("*")):
            name = path.relative_to(source)
            if path.is_file() and _is_object(name):
                found[name.as_posix()] = path
    return found


def copy_objects(found: dict[str, Path]) -> int:
    """Upload what the storage does not have yet; how many that were."""
    copied = 0
    for name, path in found.items():
        if storage().size(name) != path.stat().st_size:
            storage().upload(name, path)
            copied += 1
    return copied


def copy_rows(source: Path, model: str) -> int:
    """Write what became rows of a model; how many were missing."""
    with writing(model) as connection:
        added = sum(
            add_missing(connection, table, rows, model=model)
            for table, rows in (
                (versions, _versions(source, model)),
                (table_pointers, _pointers(source, model)),
                (contracts, _contract(source, model)),
                (blocked_contracts, _blocked(source, model)),
                (first_trainings, _first_trainings(source, model)),
                (drift_reports, _drift_reports(source, model)),
            )
        )
    return added + _validations(source, model)


def _is_object(name: Path) -> bool:
    parts = name.parts
    if not all(map(is_name, parts)) or TEMPORARY in name.name:
        return False
    if parts[0] == "tables":
        return name.suffix == ".parquet"
    if parts[0] == "versions":
        return len(parts) > 4 or (len(parts) == 4 and parts[3] not in COLUMNS)
    # Validations get names of their own; see `_validations`.
    return len(parts) > 3 and parts[2] != "validation"


def _versions(source: Path, model: str) -> Iterator[Values]:
    for path in sorted((source / "versions" / model).glob("*")):
        if not is_name(path.name):
            continue
        # The ledger has the digests of these texts, so that they stay as they are.
        record, evaluation = _text(path / "record.json"), _text(
            path / "evaluation.json"
        )
        known = None
        if record is not None:
            known = from_json(record, VersionRecord)
        moment = dt.datetime.strptime(path.name, STAMP).replace(tzinfo=dt.UTC)
        yield {
            "model": model,
            "version": path.name,
            "owner": _text(path / "reserved") or "",
            "reserved": moment.timestamp(),
            "registry_version": known and known.registry_version,
            "record": record,
            "evaluation": evaluation,
        }


def _pointers(source: Path, model: str) -> Iterator[Values]:
    for stage in sorted((source / "tables" / model).glob("*")):
        named = {CURRENT: stage / "current.json", NEWEST: stage / "newest.json"}
        named |= {path.stem: path for path in (stage / "runs").glob("[!.]*.json")}
        for run, path in named.items():
            pointer = read_json(path)
            if pointer is not None:
                yield {
                    "model": model,
                    "stage": stage.name,
                    "run": run,
                    "data_version": pointer["data_version"],
                    "made_of": pointer.get("made_of"),
                    "made": path.stat().st_mtime,
                }


def _contract(source: Path, model: str) -> Iterator[Values]:
    path = source / "contracts" / f"{model}.json"
    text = _text(path)
    if text is not None:
        yield {"model": model, "contract": text, "accepted": path.stat().st_mtime}


def _blocked(source: Path, model: str) -> Iterator[Values]:
    found = read_json(source / "contracts" / f"{model}.blocked.json")
    if found is not None:
        yield {"model": model, **found}


def _first_trainings(source: Path, model: str) -> Iterator[Values]:
    for directory, kind in FIRST.items():
        found = read_json(source / directory / f"{model}.json")
        if found is not None:
            target = found.pop("target")
            yield {"model": model, "kind": kind, "target": target, "fixed": found}


def _drift_reports(source: Path, model: str) -> Iterator[Values]:
    for path in sorted((source / "reports" / model / "drift").glob("[!.]*.json")):
        found = read_json(path)
        yield {
            "model": model,
            "report": path.stem,
            "source": found["source"],
            "version": found["version"],
            "made": path.stat().st_mtime,
        }


def _validations(source: Path, model: str) -> int:
    added = 0
    directory = source / "reports" / model / "validation"
    for path in sorted(directory.glob("[!.]*.json")):
        # What was validated again since has the later report.
        if path.name == f"{data_version_of(path.name)}.json":
            if Validations().report(model, path.stem) is None:
                Validations().save(model, path.stem, read_json(path))
                added += 1
    return added


def _text(path: Path) -> str | None:
    try:
        return path.read_text("utf-8")
    except FileNotFoundError:
        return None
