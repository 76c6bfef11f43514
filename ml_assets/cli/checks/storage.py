"""The storage: room, whole writes, and locks."""

import fcntl
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

from ml_assets.cli.checks import Finding, ok, problem, warning
from ml_assets.core.files import create_bytes, home, storage_root, write_bytes

GIB = 2**30
LITTLE, TOO_LITTLE = 2 * GIB, GIB // 4
WHERE = "set ML_ASSETS_HOME or ML_ASSETS_STORAGE to a directory"


def check() -> Iterator[Finding]:
    """Try the home directory, and the storage where it is another."""
    for root in dict.fromkeys((home(), storage_root())):
        yield _usable(root)
        if root.exists():
            yield _room(root)


def _usable(root: Path) -> Finding:
    """Do once in `root` what every write and every deployment relies on."""
    scratch = root / f".doctor-{uuid.uuid4().hex}"
    try:
        write_bytes(scratch / "file", b"old")
        write_bytes(scratch / "file", b"new")
        if (scratch / "file").read_bytes() != b"new":
            return problem("storage", f"{root}: a rename does not replace", _local())
        if create_bytes(scratch / "file", b"again"):
            return problem("storage", f"{root}: a file is created twice", _local())
        if not _locks(scratch / "file"):
            return problem("storage", f"{root}: locks exclude nobody", _local())
    except OSError as error:
        todo = f"{WHERE} that you may write"
        return problem("storage", f"{root} cannot be used: {error}", todo)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return ok("storage", f"{root} is writable; rename, link and lock work")


def _local() -> str:
    return f"{WHERE} on a local disk; this file system lacks what is needed"


def _locks(path: Path) -> bool:
    """Whether a second holder of a lock is refused."""
    with path.open("rb") as first, path.open("rb") as second:
        fcntl.flock(first, fcntl.LOCK_EX)
        try:
            fcntl.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _room(root: Path) -> Finding:
    free = shutil.disk_usage(root).free
    message = f"{free / GIB:.1f} GiB free in {root}"
    todo = f"make room, or {WHERE} on a larger disk"
    if free < TOO_LITTLE:
        return problem("disk", message, todo)
    if free < LITTLE:
        return warning("disk", message, todo)
    return ok("disk", message)
