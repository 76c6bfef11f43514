"""Bundles as files of this machine, each by the digest of its manifest.

``ML_ASSETS_CACHE`` names the directory, ``<home>/cache`` by default. A bundle in it is
whole, and was verified; it is there while the storage is away. Any number of processes
use one cache: each holds a lock on what it uses, which ends with it.
"""

import contextlib
import fcntl
import functools
import hashlib
import os
import shutil
import threading
import time
from collections.abc import Mapping
from logging import WARNING
from pathlib import Path
from typing import IO, Protocol

import msgspec

from ml_assets.core.digests import BundleError, verify_bundle
from ml_assets.core.files import TEMPORARY, atomic_path, cache_directory, sha256_file
from ml_assets.core.storage import Storage
from ml_assets.serving.logs import log

# Of bundles that nobody uses, so many stay: those that were fetched last.
KEPT = 100
# What a process was writing when it was killed is no longer written after so long.
_ABANDONED_SECONDS = 3600
# Several threads fetch at once: what a process has one of is made by one of them.
_MAKING = threading.Lock()


class MissingBundleError(BundleError):
    """The storage does not have a file of the bundle."""


class Bundle(Protocol):
    """What names a bundle: an arm of a plan, or the record of a version.

    ``bundle`` is the prefix of its objects and ``files`` the SHA-256 of each.
    """

    @property
    def bundle(self) -> str: ...

    @property
    def files(self) -> dict[str, str]: ...


def fetch(storage: Storage, bundle: Bundle) -> Path:
    """Directory of the bundle's files on this machine, each as its manifest says.

    It stays until this process ends, or `release` is called.

    Raises
    ------
    MissingBundleError
        If the storage does not have a file.
    BundleError
        If a file is not of its digest.
    StorageUnavailableError
        If the bundle is not here yet and the storage does not answer.
    """
    name = digest(bundle.files)
    directory = directory_of(bundle)
    # Waits for whoever is removing it; what is locked first is not removed after.
    fcntl.lockf(_locks(), fcntl.LOCK_SH, 1, _offset(name))
    _used().setdefault(name, set()).add(bundle.bundle)
    if _is_whole(directory, bundle.files):
        os.utime(directory)
        return directory
    try:
        with atomic_path(directory) as temporary:
            _download(storage, bundle, temporary)
    except OSError:
        # Another process was as fast: a directory that holds something stays.
        if not _is_whole(directory, bundle.files):
            raise
    return directory


def directory_of(bundle: Bundle) -> Path:
    """Where the files of a bundle are, once they were fetched."""
    return _bundles() / digest(bundle.files)


def release(bundle: Bundle) -> None:
    """Let `trim` remove a bundle that this process does not use any more."""
    name = digest(bundle.files)
    users = _used().get(name, set())
    users.discard(bundle.bundle)
    # Another version may consist of the same files.
    if not users:
        _used().pop(name, None)
        fcntl.lockf(_locks(), fcntl.LOCK_UN, 1, _offset(name))


def trim(keep: int = KEPT) -> None:
    """Remove bundles but for the `keep` newest, and those that a process uses."""
    found = [(_age(path), path) for path in _bundles().iterdir()]
    complete = sorted((age, path) for age, path in found if not _is_partial(path))
    for _, path in complete[keep:]:
        _remove_unused(path)
    for age, path in found:
        if _is_partial(path) and age > _ABANDONED_SECONDS:
            shutil.rmtree(path, ignore_errors=True)


def digest(files: Mapping[str, str]) -> str:
    """SHA-256 of a manifest, by which its bundle is cached."""
    text = msgspec.json.encode(dict(files), order="sorted")
    return hashlib.sha256(text).hexdigest()


def _download(storage: Storage, bundle: Bundle, directory: Path) -> None:
    for name, expected in bundle.files.items():
        item = f"{bundle.bundle}/{name}"
        try:
            storage.fetch(item, directory / name)
        except FileNotFoundError as error:
            raise MissingBundleError(f"{storage.url}/{item} is missing") from error
        found = sha256_file(directory / name)
        if found != expected:
            raise BundleError(
                f"{storage.url}/{item} was altered: its SHA-256 is {found}, expected"
                f" {expected}"
            )


def _is_whole(directory: Path, files: Mapping[str, str]) -> bool:
    if not directory.exists():
        return False
    try:
        verify_bundle(directory, files)
    except BundleError as error:
        log("a cached bundle is fetched again", WARNING, reason=str(error))
        _remove(directory)
        return False
    return True


def _remove(directory: Path) -> None:
    """Remove a bundle so that nobody sees a part of it."""
    target = directory.parent / f"{TEMPORARY}{os.getpid()}-{time.time_ns()}"
    with contextlib.suppress(FileNotFoundError):
        os.replace(directory, target)
    shutil.rmtree(target, ignore_errors=True)


def _remove_unused(directory: Path) -> None:
    name = directory.name
    if name in _used():
        return
    try:
        fcntl.lockf(_locks(), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _offset(name))
    except OSError:
        return  # A process uses it.
    try:
        _remove(directory)
    finally:
        fcntl.lockf(_locks(), fcntl.LOCK_UN, 1, _offset(name))


def _offset(name: str) -> int:
    """The byte of the file of locks that stands for a bundle."""
    return int(name[:15], 16)


def _is_partial(path: Path) -> bool:
    return path.name.startswith(TEMPORARY)


def _age(path: Path) -> float:
    """Seconds since a bundle was fetched; 0 where it was removed meanwhile."""
    try:
        return time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _bundles() -> Path:
    return cache_directory() / "bundles"


def _locks() -> IO[bytes]:
    with _MAKING:
        return _opened(cache_directory(), os.getpid())


def _used() -> dict[str, set[str]]:
    with _MAKING:
        return _used_by(cache_directory(), os.getpid())


@functools.lru_cache(maxsize=8)
def _opened(directory: Path, process: int) -> IO[bytes]:
    """The file of locks, opened once a process: to close any opening frees all."""
    (directory / "bundles").mkdir(parents=True, exist_ok=True)
    return (directory / "bundles.lock").open("a+b")


@functools.lru_cache(maxsize=8)
def _used_by(directory: Path, process: int) -> dict[str, set[str]]:
    """What this process uses, by digest: its own locks would not stop it."""
    return {}
