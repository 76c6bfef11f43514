"""The prediction log of an installation of before release 0.2, whose batches are files.

``predictions/<model>/batches/<batch>.json`` and that of labels name the segments and
files of a batch. The files are uploaded under the names that they had, and committed
as `ml_assets.lifecycle.compaction` does; segments that wait are shipped as they are.
"""

from pathlib import Path
from typing import Any, get_args

from ml_assets.core.files import read_json, sha256_file
from ml_assets.core.storage import storage
from ml_assets.lifecycle.migration.ledgers import MigrationError
from ml_assets.prediction_log.compaction import Batch, LogFile
from ml_assets.prediction_log.segments import Kind
from ml_assets.state.batches import Batches


def migrate_log(source: Path, model: str) -> int:
    """Copy the log of one model; how many batches and segments were not there yet.

    Parameters
    ----------
    source : Path
        The old ``ML_ASSETS_STORAGE``, which stays as it is. It may be what the storage
        is now.

    Raises
    ------
    MigrationError
        If a file is not the one that its batch names.
    """
    # Before the segments: one that is in a batch must not become a part of another.
    batches = sum(
        _copy(source, model, kind, manifest)
        for kind in get_args(Kind)
        for manifest in sorted(
            (source / kind / model / "batches").glob("[0-9a-f]*.json")
        )
    )
    return batches + _ship(source, model)


def _copy(source: Path, model: str, kind: Kind, manifest: Path) -> bool:
    """Whether a batch was not known yet."""
    given = read_json(manifest)
    files = []
    for name, digest in sorted(given["files"].items()):
        path = source / name
        # What has expired is gone.
        if path.exists():
            if sha256_file(path) != digest:
                raise MigrationError(f"{path} is not the file that {manifest} names")
            storage().upload(name, path)
            files.append(_file(path, name, manifest.stem, digest))
    batch = Batch(given["segments"], files, given["rows"], given["unreadable"], 0)
    return Batches().commit(model, kind, batch)


def _file(path: Path, name: str, batch: str, digest: str) -> LogFile:
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    is_labels = name.startswith("labels/")
    columns = ["received"] if is_labels else ["time", "version"]
    table: Any = pq.read_table(path, columns=columns, partitioning=None)
    newest = float(pc.max(table[columns[0]]).as_py())
    versions = [] if is_labels else sorted(table["version"].unique().to_pylist())
    day = "" if is_labels else path.parent.name
    return LogFile(name, batch, day, table.num_rows, newest, digest, versions)


def _ship(source: Path, model: str) -> int:
    """How many segments were shipped that wait to be compacted."""
    number = 0
    for path in sorted((source / "segments" / model).glob("[!.]*.jsonl")):
        name = f"segments/{model}/{path.name}"
        if storage().local(name) == path or storage().size(name):
            continue
        if not storage().create(name, path.read_bytes()):
            raise MigrationError(f"{name} in the storage is not what {path} holds")
        number += 1
    return number
