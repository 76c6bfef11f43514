"""Locks of deployers: in Postgres, for pods on different machines, else on a file."""

import contextlib
import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

from sqlalchemy import make_url

from ml_assets.core.files import below, locked
from ml_assets.state.engine import database_url

LOCK_SECONDS = 3600.0

# Raises `LockError` if the lock is lost.
LockCheck = Callable[[], None]


class LockError(Exception):
    """The lock was not got in time, or is lost."""


@contextlib.contextmanager
def deployer_lock(subject: str) -> Iterator[LockCheck]:
    """The lock of whoever changes what runs of `subject`, where the state is shared.

    It is a lock of Postgres, or of a file beside the database of SQLite.

    Parameters
    ----------
    subject : str
        A model, or ``release/<environment>``.

    Raises
    ------
    LockError
        If it is not got in time, or the database cannot be reached.
    """
    url = make_url(database_url())
    if url.get_backend_name() == "sqlite":
        path = Path(url.database or ".").parent / "locks"
        with locked(below(path, *subject.split("/")).with_suffix(".lock")):
            yield _never_lost
        return
    address = url.render_as_string(hide_password=False)
    with advisory_lock(address, f"ml-assets/deployer/{subject}") as check:
        yield check


def _never_lost() -> None:
    """A file lock ends with its process only."""


@contextlib.contextmanager
def advisory_lock(
    url: str, name: str, seconds: float = LOCK_SECONDS
) -> Iterator[LockCheck]:
    """Hold the lock `name` in the database at `url`; the database frees it if we die.

    Parameters
    ----------
    url : str
        ``postgresql://``; a pooler in between must give each client its session.
    name : str
        Any text; equal names exclude each other.
    seconds : float, default=3600.0
        How long to wait for another holder.

    Yields
    ------
    callable
        Raises `LockError` if the lock is lost, because the session ended.

    Raises
    ------
    LockError
        If the lock is not got in time, or the database cannot be reached.
    """
    import psycopg2

    scheme, _, rest = url.partition("://")
    address = f"{scheme.partition('+')[0]}://{rest}"
    key = int.from_bytes(
        hashlib.sha256(name.encode()).digest()[:8], byteorder="big", signed=True
    )
    try:
        # A peer that vanished is noticed within a minute, on both ends.
        connection = psycopg2.connect(
            address,
            connect_timeout=10,
            application_name="ml-assets lock",
            keepalives_idle=30,
            keepalives_interval=10,
            keepalives_count=3,
            options=(
                f"-c lock_timeout={int(seconds * 1000)} -c tcp_keepalives_idle=30"
                " -c tcp_keepalives_interval=10 -c tcp_keepalives_count=3"
                " -c idle_session_timeout=0"
            ),
        )
    except psycopg2.Error as error:
        raise LockError(f"the lock {name} needs the database: {error}") from error
    with contextlib.closing(connection):
        connection.autocommit = True
        cursor = connection.cursor()
        try:
            cursor.execute("SELECT pg_advisory_lock(%s)", (key,))
        except psycopg2.errors.LockNotAvailable:
            raise LockError(
                f"another holder kept the lock {name} for more than {seconds:g} s"
            ) from None
        except psycopg2.Error as error:
            raise LockError(f"the lock {name} was not got: {error}") from error

        def check() -> None:
            # The lock is the session's: as long as that answers, the lock is ours.
            try:
                cursor.execute("SELECT 1")
            except psycopg2.Error as error:
                raise LockError(f"the lock {name} is lost: {error}") from error

        yield check
