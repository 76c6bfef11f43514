"""CSV and Parquet files in a directory or behind any fsspec URL.

A path may be a glob; a Parquet path may be a directory. The files that it names are the
parts of the source, in the order of their names.
"""

from functools import partial
from typing import IO, Any, NamedTuple

import pandas as pd

from ml_assets.ml.sources.columnar import read_parquet
from ml_assets.ml.sources.environment import Expanded, expand
from ml_assets.ml.sources.errors import SourceError
from ml_assets.ml.sources.text import read_csv
from ml_assets.ml.sources.text_faults import Opener
from ml_assets.model import SourceSpec

GLOB = "*?["


class File(NamedTuple):
    """One file of a source.

    Attributes
    ----------
    name : str
        Its path below the directory in which the glob begins.
    shown : str
        What errors call it.
    open : callable
        Opens it.
    """

    name: str
    shown: str
    open: Opener


def find_files(spec: SourceSpec) -> list[File]:
    """The files of a source, in the order of their names.

    Raises
    ------
    SourceError
        There is none, or nobody can look.
    """
    return _found(expand(spec.path, f"{spec.type} source: path"), spec.type)


def read_file(spec: SourceSpec, file: File) -> pd.DataFrame:
    """Read one of them; CSV files ``.gz`` and the like are unpacked."""
    if spec.type == "csv":
        return read_csv(file.open, spec.read, file.shown)
    return read_parquet(file.open, file.shown)


def _found(where: Expanded, kind: str) -> list[File]:
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
        return [File("", name, partial(_open, system, paths[0], kind, name))]
    top = _directory(root)
    found = []
    for path in paths:
        below = path.removeprefix(top)
        shown = f"{name} ({below})"
        found.append(File(below, shown, partial(_open, system, path, kind, shown)))
    return found


def _directory(root: str) -> str:
    """The part of a glob, or of a directory, that all its files share."""
    marks = [root.index(mark) for mark in GLOB if mark in root]
    return root[: root.rindex("/", 0, min(marks)) + 1] if marks else f"{root}/"


def _paths(system: Any, root: str, kind: str) -> list[str]:
    if system.isfile(root):
        return [root]
    if kind == "parquet" and system.isdir(root):
        root = f"{root.rstrip('/')}/*.parquet"
    if any(mark in root for mark in GLOB):
        return sorted(path for path in system.glob(root) if system.isfile(path))
    return []


def _open(system: Any, path: str, kind: str, name: str) -> IO[bytes]:
    reason = ""
    try:
        compression = "infer" if kind == "csv" else None
        stream: IO[bytes] = system.open(path, "rb", compression=compression)
        return stream
    except OSError as error:
        reason = error.strerror or type(error).__name__
    raise SourceError(f"{name} cannot be opened: {reason}")
