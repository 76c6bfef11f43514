"""CSV and Parquet files in a directory or behind any fsspec URL.

A path may be a glob; a Parquet path may be a directory. The files that it names are the
parts of the source, in the order of their names; directories called ``column=value``
below the one that they share are columns.
"""

from functools import partial
from typing import IO, Any, NamedTuple

import pandas as pd

from ml_assets.ml.sources.columnar import read_parquet
from ml_assets.ml.sources.environment import Expanded, expand
from ml_assets.ml.sources.errors import SourceError
from ml_assets.ml.sources.listing import list_files
from ml_assets.ml.sources.partitions import Values, partitions, with_partitions
from ml_assets.ml.sources.text import read_csv
from ml_assets.ml.sources.text_faults import Opener
from ml_assets.spec.source import SourceSpec


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
    values : dict
        Columns that stand in its path.
    """

    name: str
    shown: str
    open: Opener
    values: Values


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
        frame = read_csv(file.open, spec.read, file.shown)
    else:
        frame = read_parquet(file.open, file.shown)
    return with_partitions(frame, file.values)


def _found(where: Expanded, kind: str) -> list[File]:
    from fsspec.core import url_to_fs  # type: ignore[import-untyped]

    name = f"{kind} source {where.shown}"
    reason = None
    try:
        system, root = url_to_fs(where.value)
        paths, top = list_files(system, root, kind)
    except SourceError as error:
        raise SourceError(f"{name} {where.redact(str(error))}") from None
    except (ImportError, OSError, ValueError) as error:
        reason = where.redact(str(error)) or type(error).__name__
    if reason is not None:
        raise SourceError(f"{name} cannot be opened: {reason}")
    if not paths:
        raise SourceError(f"{name} does not exist; check the path")
    names = [path.removeprefix(top) for path in paths]
    found = []
    for path, below, values in zip(paths, names, partitions(names), strict=True):
        shown = name if len(paths) == 1 else f"{name} ({below})"
        opener = partial(_open, system, path, kind, shown)
        found.append(File("" if len(paths) == 1 else below, shown, opener, values))
    return found


def _open(system: Any, path: str, kind: str, name: str) -> IO[bytes]:
    reason = ""
    try:
        compression = "infer" if kind == "csv" else None
        stream: IO[bytes] = system.open(path, "rb", compression=compression)
        return stream
    except OSError as error:
        reason = error.strerror or type(error).__name__
    raise SourceError(f"{name} cannot be opened: {reason}")
