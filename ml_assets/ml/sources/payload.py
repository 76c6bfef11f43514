"""A downloaded file: CSV, Parquet, or a zip archive that holds one of them."""

import gzip
import io
import zipfile
from collections.abc import Collection
from functools import partial
from pathlib import Path
from typing import IO

import pandas as pd

from ml_assets.ml.sources.csv_reader import Opener, read_csv
from ml_assets.ml.sources.parquet import MAGIC, read_parquet
from ml_assets.ml.tables import SourceError
from ml_assets.spec.csv_format import CsvFormat

LARGEST_MEMBER = 8 << 30
"""Bytes that one member of an archive may unpack to: more is a zip bomb."""

_GZIP = b"\x1f\x8b"
_ZIP = b"PK\x03\x04"
_EMPTY_ZIP = b"PK\x05\x06"


def read_payload(
    path: Path,
    read: CsvFormat | None,
    name: str,
    suffix: str,
    member: str | None = None,
    texts: Collection[str] = (),
) -> pd.DataFrame:
    """Read the downloaded file at `path` by what its first bytes are.

    Parameters
    ----------
    path : Path
        The file in the cache.
    read : CsvFormat, optional
        How a CSV file is written.
    name : str
        What errors call the file.
    suffix : str
        How its address ends; a file called ``.parquet`` must be one.
    member : str, optional
        Name that the only member of an archive must have.
    texts : collection of str
        Columns of a CSV file whose cells are texts, whatever they look like.
    """
    with path.open("rb") as stream:
        head = stream.read(len(_ZIP))
    open_file: Opener = partial(_open_plain, path)
    if head in (_ZIP, _EMPTY_ZIP):
        open_file = _member(path, name, member)
        with open_file() as unpacked:
            head = unpacked.read(len(MAGIC))
    elif head.startswith(_GZIP):
        open_file = partial(_open_gzip, path)
    if head == MAGIC or suffix.lower() == ".parquet":
        return read_parquet(open_file, name)
    return read_csv(open_file, read, name, texts)


def _open_plain(path: Path) -> IO[bytes]:
    return path.open("rb")


def _open_gzip(path: Path) -> IO[bytes]:
    return io.BufferedReader(gzip.open(path, "rb"))


def _member(path: Path, name: str, expected: str | None) -> Opener:
    """Opens the only member of an archive; nothing is ever unpacked to the disk, so
    the paths in the archive lead nowhere."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except zipfile.BadZipFile:
        raise SourceError(f"{name}: the zip archive is damaged") from None
    if len(members) != 1:
        raise SourceError(
            f"{name}: the zip archive holds {len(members)} files; 1 was expected"
        )
    only = members[0]
    if expected is not None and only.filename != expected:
        raise SourceError(
            f"{name}: the zip archive holds '{only.filename}';"
            f" '{expected}' was expected"
        )
    if only.file_size > LARGEST_MEMBER:
        raise SourceError(
            f"{name}: '{only.filename}' would unpack to {only.file_size:,} bytes;"
            f" at most {LARGEST_MEMBER:,} are allowed"
        )
    if only.flag_bits & 1:
        raise SourceError(f"{name}: '{only.filename}' is encrypted")
    return partial(_open_member, path, only)


def _open_member(path: Path, member: zipfile.ZipInfo) -> IO[bytes]:
    archive = zipfile.ZipFile(path)
    try:
        # The stream keeps the archive's file open until it is closed itself.
        return archive.open(member)
    finally:
        archive.close()
