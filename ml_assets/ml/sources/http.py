"""A CSV or Parquet file at an HTTP address."""

import hashlib
import re
from collections.abc import Collection
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

import pandas as pd

from ml_assets.core.files import sha256_file
from ml_assets.core.retry import Retry
from ml_assets.ml.sources.download import Download
from ml_assets.ml.sources.environment import expand
from ml_assets.ml.sources.payload import read_payload
from ml_assets.ml.tables import SourceError
from ml_assets.spec.source import SourceSpec

_REFUSED = "the address needs credentials that it was not given"
ADVICE = {
    401: _REFUSED,
    403: _REFUSED,
    404: "there is no such file: check the address",
    410: "the file was taken away: check the address",
}


def read_http(
    spec: SourceSpec, cache: Path, retry: Retry, texts: Collection[str] = ()
) -> pd.DataFrame:
    """Read the file at ``spec.url``; the cache keeps it to be asked for only if newer.

    Raises
    ------
    SourceError
        The file could not be had, or it has another digest than ``spec.sha256``.
    """
    url = expand(spec.url, "http source: url")
    name = f"http source {url.shown}"
    path = _path(url.value)
    if path is None:
        raise SourceError(f"{name}: no usable HTTP address (InvalidURL)")
    target = cache / "http" / _file_name(url.value, path)
    if not _is_digest(target, spec.sha256):
        Download(name, url.value, spec.timeout_seconds, retry, advice=ADVICE).to(target)
        _check_digest(target, spec.sha256, name)
    suffix = PurePosixPath(path).suffix
    return read_payload(target, spec.read, name, suffix, texts=texts)


def _path(url: str) -> str | None:
    try:
        return urlsplit(url).path
    except ValueError:
        return None


def _file_name(url: str, path: str) -> str:
    readable = re.sub(r"[^\w.-]", "_", PurePosixPath(path).name)[-80:] or "file"
    return f"{hashlib.sha256(url.encode()).hexdigest()[:16]}-{readable}"


def _is_digest(target: Path, expected: str | None) -> bool:
    return bool(expected) and target.exists() and sha256_file(target) == expected


def _check_digest(target: Path, expected: str | None, name: str) -> None:
    if expected is None:
        return
    found = sha256_file(target)
    if found != expected:
        target.unlink(missing_ok=True)
        raise SourceError(
            f"{name}: the file's SHA-256 is {found}; {expected} was expected:"
            " the file has changed, and sha256 must if that was intended"
        )
