"""The home directory and the storage: room, locks, and objects created once."""

import fcntl
import shutil
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ml_assets.cli.checks import Finding, ok, problem, warning
from ml_assets.core.files import home, write_bytes
from ml_assets.core.storage import Storage, storage

GIB = 2**30
LITTLE, TOO_LITTLE = 2 * GIB, GIB // 4
WHERE = "set ML_ASSETS_HOME or ML_ASSETS_STORAGE to a directory"
CLIENTS = 4
OTHER = "use a store that honours If-None-Match, such as S3, GCS, Azure or a directory"


def check() -> Iterator[Finding]:
    """Try the home directory and the storage."""
    yield _home()
    yield _storage()
    for root in dict.fromkeys((home(), storage().root)):
        if root is not None and root.exists():
            yield _room(root)


def _home() -> Finding:
    """Do once in the home directory what servers and databases rely on."""
    scratch = home() / f".doctor-{uuid.uuid4().hex}"
    try:
        write_bytes(scratch / "file", b"new")
        if not _locks(scratch / "file"):
            todo = "set ML_ASSETS_HOME to a directory on a local disk"
            return problem("home", f"{home()}: locks exclude nobody", todo)
    except OSError as error:
        todo = "set ML_ASSETS_HOME to a directory that you may write"
        return problem("home", f"{home()} cannot be used: {error}", todo)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return ok("home", f"{home()} is writable, and locks work")


def _storage() -> Finding:
    """Have several clients create one object, and change another."""
    url, name = storage().url, f"doctor/{uuid.uuid4().hex}"
    clients = [Storage(url) for _ in range(CLIENTS)]
    try:
        with ThreadPoolExecutor(CLIENTS) as pool:
            made = pool.map(
                lambda n: clients[n].create(name, b"%d" % n), range(CLIENTS)
            )
            winners = [number for number, is_made in enumerate(made) if is_made]
        if len(winners) != 1 or storage().get(name) != b"%d" % winners[0]:
            message = f"{url}: {len(winners)} of {CLIENTS} clients created one object"
            return problem("storage", f"{message}, expected 1", OTHER)
        storage().put(name, b"changed")
        if storage().get(name) != b"changed":
            return problem("storage", f"{url}: a change is not seen at once", OTHER)
        storage().remove([name])
    except OSError as error:
        todo = "see that it exists, and that credentials are set as its SDK finds them"
        return problem("storage", f"{url} cannot be used: {error}", todo)
    return ok("storage", f"{url} creates an object once and shows what was written")


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
