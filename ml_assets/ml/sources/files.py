"""CSV and Parquet files in a directory or behind any fsspec URL.

A path may be a glob; a Parquet path may be a directory. What exists under a name is
meant by it, whatever marks of a glob the name holds. The files that a path names are
the parts of the source, in the order of their names; directories called
``column=value`` below the one that they share are columns.
"""

from collections.abc import Collection
from functools import partial
from typing import IO, Any, NamedTuple

import pandas as pd

from ml_assets.ml.sources.csv_reader import Opener, read_csv
from ml_assets.ml.sources.environment import Expanded, expand
from ml_assets.ml.sources.parquet import read_parquet
from ml_assets.ml.sources.partitions import Values, partitions, with_partitions
from ml_assets.ml.tables import SourceError
from ml_assets.spec.source import SourceSpec

GLOB = "*?["
# What writers put beside the data, and no data themselves.
BESIDE = ("_SUCCESS", "_metadata", "_common_metadata")
# A log that lists which of the files are data.
TABLE_LOGS = ("_delta_log", ".hoodie")


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
        Columns that its path holds.
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
        There is none, or they cannot be listed.
    """
    return _found(expand(spec.path, f"{spec.type} source: path"), spec.type)


def read_file(
    spec: SourceSpec, file: File, texts: Collection[str] = ()
) -> pd.DataFrame:
    """Read one of them; CSV files ``.gz`` and the like are unpacked."""
    if spec.type == "csv":
        frame = read_csv(file.open, spec.read, file.shown, texts)
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


class Listing(NamedTuple):
    """The files, sorted, and the directory below which their names differ."""

    paths: list[str]
    top: str


def list_files(system: Any, root: str, kind: str) -> Listing:
    """The data files that `root` names on an fsspec file system; maybe none.

    Raises
    ------
    SourceError
        It is a directory that is not read as one.
    """
    if system.isfile(root):
        return Listing([root], f"{root.rpartition('/')[0]}/")
    if system.isdir(root):
        return _in_directory(system, root.rstrip("/"), kind)
    pattern, top = _pattern(system, root)
    if pattern is None:
        return Listing([], root)
    return Listing(
        sorted(
            path
            for path in system.glob(pattern)
            if _is_data(path.rpartition("/")[2]) and system.isfile(path)
        ),
        top,
    )


def _in_directory(system: Any, root: str, kind: str) -> Listing:
    if kind != "parquet":
        raise SourceError(f"is a directory; name its files, as in {root}/*.csv")
    for name in TABLE_LOGS:
        if system.isdir(f"{root}/{name}"):
            raise SourceError(
                f"is a table whose log ({name}) says which of its files are data, which"
                " is not understood: export it as plain Parquet, or read it by SQL"
            )
    found = []
    for path in system.find(root):
        *above, name = path.removeprefix(f"{root}/").split("/")
        # Writers keep what is not yet data below such directories.
        is_visible = all(part[0] not in "._" or "=" in part for part in above)
        if is_visible and name.endswith(".parquet") and _is_data(name):
            found.append(path)
    if not found:
        raise SourceError("is a directory without a *.parquet file")
    return Listing(sorted(found), f"{root}/")


def _is_data(name: str) -> bool:
    return not name.startswith(".") and name not in BESIDE and name[-4:] != ".crc"


def _pattern(system: Any, root: str) -> tuple[str | None, str]:
    """The glob with what exists in it taken literally, and where it begins.

    The glob is None where there is no mark left.
    """
    parts = root.split("/")
    for number, part in enumerate(parts):
        if not any(mark in part for mark in GLOB):
            continue
        if not system.isdir("/".join(parts[: number + 1])):
            top = "/".join(parts[:number])
            head = [_escaped(part) for part in parts[:number]]
            return "/".join([*head, *parts[number:]]), f"{top}/" if top else ""
    return None, root


def _escaped(part: str) -> str:
    return "".join(f"[{char}]" if char in GLOB else char for char in part)
