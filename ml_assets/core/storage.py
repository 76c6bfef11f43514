"""The storage: immutable objects under one URL, by `obstore`.

``ML_ASSETS_STORAGE`` is a directory, or a URL that begins with ``file://``, ``s3://``,
``gs://`` or ``az://``. Credentials are found as the SDK of each cloud finds them, and
endpoints of compatible stores come from the same variables (``AWS_ENDPOINT_URL``).

An object is created once and never changes; the few that do are pointers to others. A
name is made of parts that `ml_assets.core.files.is_name` accepts, with slashes.
"""

import contextlib
import datetime as dt
import functools
import os
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple, cast

from ml_assets.core.errors import UnavailableError
from ml_assets.core.files import (
    TEMPORARY,
    NameFault,
    StorageError,
    directory,
    home,
    is_name,
    sync_directory,
)
from ml_assets.core.leftovers import is_leftover, leftovers_below
from ml_assets.core.object_reader import ObjectReader
from ml_assets.core.object_store import SCHEMES, connect

if TYPE_CHECKING:
    from obstore.store import ObjectStore

VARIABLE = "ML_ASSETS_STORAGE"
# So many seconds a request is repeated for where no answer comes.
RETRY_SECONDS = 60
PART_BYTES = 8 * 2**20


class StorageUnavailableError(UnavailableError, OSError):
    """The storage did not answer, or refused; nothing is known of what was asked."""


class Info(NamedTuple):
    """An object: name, size in bytes, when it was written in UTC, state of content."""

    name: str
    size: int
    modified: dt.datetime
    tag: str | None = None


class Version(NamedTuple):
    """The content of an object, and what names this state of it."""

    data: bytes
    tag: str | None


class Storage:
    """The objects under one URL.

    Parameters
    ----------
    url : str
        A directory, or a URL with one of the schemes ``file``, ``s3``, ``gs``, ``az``.
    patience : float, optional
        For how many seconds a request is repeated that is not answered; 60 by default.

    Raises
    ------
    StorageError
        If `url` is neither.
    """

    def __init__(self, url: str, patience: float | None = None) -> None:
        self._patience = patience or RETRY_SECONDS
        scheme, separator, _ = url.partition("://")
        is_remote = bool(separator) and scheme in SCHEMES
        if separator and not is_remote and scheme != "file":
            raise StorageError(
                f"{VARIABLE} is {url!r}, expected a directory, or a URL that begins"
                " with file://, s3://, gs:// or az://"
            )
        self.root = None if is_remote else directory(url, VARIABLE)
        self.url = url if is_remote else str(self.root)

    @functools.cached_property
    def _store(self) -> "ObjectStore":
        with self._asked("its settings"):
            return connect(self.url, self.root, self._patience)

    def create(self, name: str, data: bytes) -> bool:
        """Write an object once.

        Returns
        -------
        bool
            Whether the object holds `data` now: of several writers with different
            content, exactly one gets True. After a lost reply the content is compared
            before it is said that somebody else was first.

        Raises
        ------
        StorageUnavailableError
            If the storage did not answer; the object is there or it is not.
        """
        import obstore
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        with self._asked(name):
            try:
                obstore.put(self._store, _checked(name), data, mode="create")
            except (AlreadyExistsError, PreconditionError):
                return self.get(name) == data
        self._flush(name)
        return True

    def put(self, name: str, data: bytes) -> None:
        """Write an object that may change: a pointer to one that does not."""
        import obstore

        with self._asked(name):
            obstore.put(self._store, _checked(name), data)
        self._flush(name)

    def upload(self, name: str, path: Path) -> None:
        """Write a file as an object, unless it is there and has the same size."""
        import obstore

        if self.size(name) == path.stat().st_size:
            return
        with self._asked(name):
            obstore.put(self._store, _checked(name), path, chunk_size=PART_BYTES)
        self._flush(name)

    def get(self, name: str) -> bytes | None:
        """The content of an object; None where there is none."""
        found = self.changed(name, None)
        return None if found is None else found.data

    def changed(self, name: str, tag: str | None) -> Version | None:
        """The content where it is not that of `tag`; None where it is, or is absent."""
        import obstore
        from obstore.exceptions import NotFoundError, NotModifiedError

        options: Any = {"if_none_match": tag} if tag else {}
        with self._asked(name):
            try:
                found = obstore.get(self._store, _checked(name), options=options)
                return Version(bytes(found.bytes()), found.meta["e_tag"])
            except (FileNotFoundError, NotFoundError, NotModifiedError):
                return None

    def size(self, name: str) -> int | None:
        """Bytes of an object; None where there is none."""
        import obstore

        with self._asked(name):
            try:
                return int(obstore.head(self._store, _checked(name))["size"])
            except FileNotFoundError:
                return None

    def open(self, name: str) -> IO[bytes]:
        """An object to be read in parts, as Arrow reads Parquet.

        Raises
        ------
        FileNotFoundError
            If there is none.
        """
        import obstore

        with self._asked(name):
            reader = obstore.open_reader(self._store, _checked(name))
        fault = functools.partial(self._fault, name)
        return cast(IO[bytes], ObjectReader(reader, fault))

    def fetch(self, name: str, target: Path) -> None:
        """Write an object to a file of this machine, whole or not at all.

        Raises
        ------
        FileNotFoundError
            If there is no such object.
        """
        import obstore

        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.parent / f"{TEMPORARY}{uuid.uuid4().hex}-{target.name}"
        try:
            with self._asked(name), temporary.open("wb") as stream:
                for part in obstore.get(self._store, _checked(name)).stream(PART_BYTES):
                    stream.write(part)
            os.replace(temporary, target)
        finally:
            temporary.unlink(missing_ok=True)

    def objects(self, prefix: str) -> Iterator[Info]:
        """Every object below `prefix`, in no order."""
        import obstore

        with self._asked(prefix):
            for page in obstore.list(self._store, f"{_checked(prefix)}/"):
                for item in page:
                    name = str(item["path"])
                    if TEMPORARY not in name:
                        about = item["size"], item["last_modified"], item["e_tag"]
                        yield Info(name, *about)

    def children(self, prefix: str) -> list[str]:
        """The next parts of the names below `prefix`, sorted; "" is the top."""
        import obstore

        below = f"{_checked(prefix)}/" if prefix else None
        with self._asked(prefix):
            found = obstore.list_with_delimiter(self._store, below)
        paths = [*found["common_prefixes"], *(i["path"] for i in found["objects"])]
        names = {path.rstrip("/").rpartition("/")[2] for path in paths}
        return sorted(name for name in names if is_name(name))

    def leftovers(self, prefix: str) -> Iterator[Info]:
        """Parts of objects below `prefix` whose writers were killed, in a directory.

        A bucket has a rule of its own that ends uploads which are never completed.
        """
        if self.root is not None:
            for path, state in leftovers_below(self.root / _checked(prefix)):
                written = dt.datetime.fromtimestamp(state.st_mtime, dt.UTC)
                name = path.relative_to(self.root).as_posix()
                yield Info(name, state.st_size, written)

    def remove(self, names: Sequence[str]) -> None:
        """Remove objects and leftovers; those that are gone are removed."""
        import obstore

        for name in names:
            above, _, last = name.rpartition("/")
            if self.root is not None and is_leftover(last):
                (self.root / _checked(above) / last).unlink(missing_ok=True)
                continue
            with self._asked(name), contextlib.suppress(FileNotFoundError):
                obstore.delete(self._store, _checked(name))

    def local(self, name: str) -> Path | None:
        """The file of an object, where the storage is a directory of this machine."""
        return None if self.root is None else self.root / _checked(name)

    def _flush(self, name: str) -> None:
        """Let what was written survive a power cut, where a directory holds it."""
        path = self.local(name)
        # Whoever removed it meanwhile needs no more.
        with contextlib.suppress(FileNotFoundError):
            if path is not None:
                with path.open("rb") as stream:
                    os.fsync(stream.fileno())
                sync_directory(path.parent)

    @contextlib.contextmanager
    def _asked(self, name: str) -> Iterator[None]:
        from obstore.exceptions import AlreadyExistsError, BaseError, NotFoundError

        try:
            yield
        except (AlreadyExistsError, NotFoundError):
            raise
        except BaseError as error:
            raise self._fault(name, error) from error

    def _fault(self, name: str, error: Exception) -> StorageUnavailableError:
        reason = str(error).partition("\n\nDebug source")[0].strip()
        what = f"the storage {self.url} does not answer for {name}: {reason}"
        return StorageUnavailableError(what)


def storage() -> Storage:
    """The storage that ``ML_ASSETS_STORAGE`` names, by default the home directory."""
    found = os.environ.get(VARIABLE) or str(home())
    # A relative directory is another one elsewhere.
    return _storage(found if "://" in found else os.path.abspath(found))


@functools.lru_cache(maxsize=8)
def _storage(url: str) -> Storage:
    return Storage(url)


def _checked(name: str) -> str:
    """`name`, if each part of it may be that of an object of ours."""
    for part in name.split("/"):
        if not is_name(part):
            raise NameFault(
                f"{ascii(part[:80])} is no name: expected letters, digits, dots,"
                " hyphens and underscores"
            )
    return name
