"""Which files a path, a glob or a directory of Parquet files names.

What exists under a name is meant by it, whatever marks of a glob the name holds.
"""

from typing import Any, NamedTuple

from ml_assets.ml.sources.errors import SourceError

GLOB = "*?["
# What writers put beside the data, and no data themselves.
BESIDE = ("_SUCCESS", "_metadata", "_common_metadata")
# A log that says which of the files are data.
TABLE_LOGS = ("_delta_log", ".hoodie")


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
