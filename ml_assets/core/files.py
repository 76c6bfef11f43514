"""Files of this machine: the home directory, crash-safe writes, and locks.

A write goes to a temporary name beside its target, is flushed to the disk and renamed,
so that a reader sees the old file or the new one and never a part. A process that is
killed leaves at most a temporary file, whose name starts with ``.tmp-``.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ml_assets.core import project

TEMPORARY = ".tmp-"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")


class StorageError(ValueError):
    """What is named as a directory is none that we can use."""


class NameFault(ValueError):
    """A name that came from outside, and that no file of ours has."""


def is_name(text: str) -> bool:
    """Whether something of ours may be called so.

    What others put beside it, such as ``lost+found`` or ``.snapshot``, may not.
    """
    return _NAME.fullmatch(text) is not None


def below(directory: Path, *names: str) -> Path:
    """A path below `directory`, of names that lead nowhere else.

    Every model, version, run, server and digest that becomes a part of a path comes
    through here, whoever named it: a launchpad, a command, a request or a file.

    Raises
    ------
    NameFault
        If a name has other characters than A-Z, a-z, 0-9, dot, hyphen and underscore,
        begins with another than a letter or a digit, or is longer than 200.

    Examples
    --------
    >>> below(Path("versions"), "churn", "20261123T020000Z").as_posix()
    'versions/churn/20261123T020000Z'
    >>> below(Path("versions"), "churn", "../m/20261123T020000Z")
    Traceback (most recent call last):
    ...
    ml_assets.core.files.NameFault: '../m/20261123T020000Z' is no name: expected \
    letters, \
digits, dots, hyphens and underscores
    """
    for name in names:
        if not is_name(name):
            raise NameFault(
                f"{ascii(name[:80])} is no name: expected letters, digits, dots,"
                " hyphens and underscores"
            )
    return directory.joinpath(*names)


def home() -> Path:
    """Directory of the local state: ``ML_ASSETS_HOME``.

    By default ``.ml_assets`` in the `dg` project or workspace of the working directory;
    in the working directory itself where there is none.
    """
    name = "ML_ASSETS_HOME"
    given = os.environ.get(name)
    if given:
        found = directory(given, name)
    else:
        inside = project.find()
        found = (inside.root if inside else Path.cwd()) / ".ml_assets"
    require_address(found, name)
    return found


def cache_directory() -> Path:
    """What can be fetched again: ``ML_ASSETS_CACHE``, by default ``<home>/cache``."""
    text = os.environ.get("ML_ASSETS_CACHE")
    return directory(text, "ML_ASSETS_CACHE") if text else home() / "cache"


def require_address(path: Path, name: str) -> None:
    """Refuse a directory that SQLite databases of Dagster and MLflow cannot be in.

    They are opened by URL, in which both write a path as it is.

    Raises
    ------
    StorageError
        With the characters that mean something else in a URL.
    """
    found = re.search(r"\?|%[0-9A-Fa-f]{2}", str(path.absolute()))
    if found:
        raise StorageError(
            f"{name} {path} holds '{found[0]}', which the URLs of the databases in it"
            " cannot carry: choose a directory without ? and without % before digits"
        )


def directory(text: str, name: str) -> Path:
    """An absolute path from a path or a ``file:`` URL.

    Parameters
    ----------
    text : str
        The path or URL.
    name : str
        Where it was given, for the message.

    Raises
    ------
    StorageError
        If it is another URL, of which a path would be made silently.

    Examples
    --------
    >>> directory("file:///srv/ml", "--storage").as_posix()
    '/srv/ml'
    """
    scheme, separator, rest = text.partition("://")
    if not separator:
        return Path(text).absolute()
    if scheme != "file" or not rest.startswith("/"):
        raise StorageError(f"{name} is {text!r}, expected a directory or file:///PATH")
    return Path(rest)


def sync_directory(path: Path) -> None:
    """Make the names in `path` survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """Yield a temporary path to write; on success it becomes `target`, else it goes.

    Works for a file or a directory. An existing file is replaced; a directory must not
    exist yet.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.parent / f"{TEMPORARY}{uuid.uuid4().hex}-{target.name}"
    try:
        yield temporary
        _sync(temporary)
        os.replace(temporary, target)
        sync_directory(target.parent)
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary, ignore_errors=True)
        else:
            temporary.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    files = [item for item in path.rglob("*") if item.is_file()] or [path]
    for file in files if path.is_dir() else [path]:
        with file.open("rb") as stream:
            os.fsync(stream.fileno())
    if path.is_dir():
        sync_directory(path)


def write_bytes(target: Path, data: bytes) -> None:
    """Write `data` to `target`, whole or not at all."""
    with atomic_path(target) as temporary:
        temporary.write_bytes(data)


def write_json(target: Path, value: Any) -> None:
    """Write `value` as indented JSON, whole or not at all."""
    write_bytes(target, json.dumps(value, indent=2, sort_keys=True).encode() + b"\n")


def read_json(path: Path) -> Any:
    """Read the JSON file at `path`; None where there is none."""
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        return None


def sha256_file(path: Path) -> str:
    """SHA-256 of a file's bytes as 64 hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on the file `path`; the system frees it when we die."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def is_locked(path: Path) -> bool:
    """Whether a living process holds a lock on the file `path`; False for no file."""
    try:
        with path.open("rb") as stream:
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False
