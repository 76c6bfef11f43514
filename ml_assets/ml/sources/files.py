"""CSV and Parquet files in a directory or behind any fsspec URL."""

from functools import partial
from pathlib import PurePosixPath
from typing import IO, Any

import pandas as pd

from ml_assets.ml.sources.columnar import read_parquet
from ml_assets.ml.sources.environment import Expanded, expand
from ml_assets.ml.sources.errors import SourceError
from ml_assets.ml.sources.text import read_csv
from ml_assets.ml.sources.text_faults import Opener
from ml_assets.model import CsvFormat


def read_csv_path(path: str | None, read: CsvFormat | None) -> pd.DataFrame:
    """Read the CSV file at a path or fsspec URL; ``.gz`` and the like are unpacked."""
    where = expand(path, "csv source: path")
    name, open_file = _found(where, "csv")[0]
    return read_csv(open_file, read, name)


def read_parquet_path(path: str | None) -> pd.DataFrame:
    """Read a Parquet file, the ones that a glob matches, or those in a directory."""
    return read_parquet(_found(expand(path, "parquet source: path"), "parquet"))


def _found(where: Expanded, kind: str) -> list[tuple[str, Opener]]:
    """The files that `where` names, in the order of their names."""
    from fsspec.core import url_to_fs  # type: ignore[import-untyped]

    name = f"{kind} source {where.shown}"
    reason = None
    try:
        system, root = url_to_fs(where.value)
        paths = _paths(system, root, kind)
    except (ImportError, OSError, ValueError) as error:
        reason = where.redact(str(error)) or type(error).__name__
    if reason is not None:
        raise SourceError(f"{name} cannot be opened: {reason}")
    if not paths:
        raise SourceError(f"{name} does not exist; check the path")
    if len(paths) == 1:
        return [(name, partial(_open, system, paths[0], kind, name))]
    return [
        (
            f"{name} ({PurePosixPath(path).name})",
            partial(_open, system, path, kind, name),
        )
        for path in paths
    ]


def _paths(system: Any, root: str, kind: str) -> list[str]:
    if kind == "csv":
        return [root] if system.isfile(root) else []
    if system.isdir(root):
        root = f"{root.rstrip('/')}/*.parquet"
    if any(mark in root for mark in "*?["):
        return sorted(path for path in system.glob(root) if system.isfile(path))
    return [root] if system.isfile(root) else []


def _open(system: Any, path: str, kind: str, name: str) -> IO[bytes]:
    reason = ""
    try:
        compression = "infer" if kind == "csv" else None
        stream: IO[bytes] = system.open(path, "rb", compression=compression)
        return stream
    except OSError as error:
        reason = error.strerror or type(error).__name__
    raise SourceError(f"{name} cannot be opened: {reason}")
