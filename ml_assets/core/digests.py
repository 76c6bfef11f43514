"""The files of a bundle against their manifest of SHA-256 digests."""

import hashlib
import os
import stat
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from ml_assets.core.storage import PART_BYTES, Storage


class BundleError(Exception):
    """A bundle that must not serve; the text names the file or the row, and why."""


def digests(directory: Path) -> dict[str, str]:
    """SHA-256 of every file below `directory`, by its path below it.

    Raises
    ------
    BundleError
        At the first symbolic link or special file.
    """
    return {
        name: hashlib.sha256(_read(directory, name)).hexdigest()
        for name in _names(directory)
    }


def digest_of(storage: Storage, name: str) -> str | None:
    """SHA-256 of an object in hexadecimal, read in parts; None where there is none."""
    digest = hashlib.sha256()
    try:
        with storage.open(name) as stream:
            while part := stream.read(PART_BYTES):
                digest.update(part)
    except FileNotFoundError:
        return None
    return digest.hexdigest()


def verify_bundle(directory: Path, files: Mapping[str, str]) -> None:
    """Compare a directory with its manifest.

    Raises
    ------
    BundleError
        Naming the file that is missing, surplus, a link, or not of its digest.
    """
    for name in files:
        _check_name(name)
    found = set(_names(directory))
    for name in sorted(files.keys() - found):
        raise BundleError(f"{directory / name} is missing")
    for name in sorted(found - files.keys()):
        raise BundleError(f"{directory / name} is not in the manifest")
    for name in files:
        read_verified(directory, name, files)


def read_verified(directory: Path, name: str, files: Mapping[str, str]) -> bytes:
    """The bytes of one file, if they have the digest that the manifest gives.

    Raises
    ------
    BundleError
        If the file is not in the manifest, missing, a link, or altered.
    """
    if name not in files:
        raise BundleError(f"{directory / name} is not in the manifest")
    _check_name(name)
    data = _read(directory, name)
    found = hashlib.sha256(data).hexdigest()
    if found != files[name]:
        raise BundleError(
            f"{directory / name} was altered: its SHA-256 is {found}, expected"
            f" {files[name]} ({len(data)} bytes)"
        )
    return data


def _check_name(name: str) -> None:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or str(path) != name:
        raise BundleError(f"the manifest names '{name}', which leaves the bundle")


def _names(directory: Path) -> list[str]:
    """Paths of all regular files below `directory`, without following a link."""
    if directory.is_symlink() or not directory.is_dir():
        raise BundleError(f"{directory} is no directory")
    names = []
    for root, folders, files in os.walk(directory, followlinks=False):
        for name in [*folders, *files]:
            path = Path(root, name)
            mode = path.lstat().st_mode
            if stat.S_ISREG(mode):
                names.append(path.relative_to(directory).as_posix())
            elif not stat.S_ISDIR(mode):
                raise BundleError(f"{path} is a link or special file")
    return sorted(names)


def _read(directory: Path, name: str) -> bytes:
    """Read one file with no link anywhere on its path below `directory`."""
    path = directory / name
    for parent in [path, *path.parents]:
        if parent == directory:
            break
        if parent.is_symlink():
            raise BundleError(f"{parent} is a link")
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except FileNotFoundError as error:
        raise BundleError(f"{path} is missing") from error
    except OSError as error:
        raise BundleError(f"{path} cannot be read: {error}") from error
    with os.fdopen(descriptor, "rb") as stream:
        return stream.read()
