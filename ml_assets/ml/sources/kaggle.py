"""A file of a Kaggle data set, through Kaggle's public API."""

import json
import os
import re
from collections.abc import Collection
from pathlib import Path, PurePosixPath
from urllib.parse import quote

import pandas as pd

from ml_assets.core.retry import Retry
from ml_assets.ml.sources.download import Download
from ml_assets.ml.sources.payload import read_payload
from ml_assets.ml.tables import SourceError
from ml_assets.spec.source import SourceSpec

ENDPOINT = "https://www.kaggle.com"
_REMEDY = (
    "create a token at https://www.kaggle.com/settings (API, Create New Token) and set"
    " KAGGLE_JSON to the text of kaggle.json or to its path"
)
_ADVICE = {
    401: f"Kaggle does not accept the token: {_REMEDY}",
    403: f"Kaggle refuses: accept the data set's terms on its page, or {_REMEDY}",
    404: (
        "there is no such file: check dataset (owner/name) and file, and that the"
        " data set's terms were accepted on its page"
    ),
}


def read_kaggle(
    spec: SourceSpec, cache: Path, retry: Retry, texts: Collection[str] = ()
) -> pd.DataFrame:
    """Read ``spec.file`` of the data set ``spec.dataset``, given as owner/name.

    The credentials come from ``KAGGLE_JSON`` (the JSON text, or a path); without it
    the request is anonymous, which Kaggle allows for some data sets.
    """
    dataset, file = spec.dataset or "", spec.file or ""
    name = f"kaggle source {dataset}/{file}"
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", dataset) or ".." in dataset:
        raise SourceError(f"{name}: dataset must be owner/name, found '{dataset}'")
    endpoint = os.environ.get("KAGGLE_API_ENDPOINT") or ENDPOINT
    url = (
        f"{endpoint.rstrip('/')}/api/v1/datasets/download/{dataset}/"
        f"{quote(file, safe='')}"
    )
    target = cache / "kaggle" / dataset.replace("/", "__") / quote(file, safe="")
    Download(
        name, url, spec.timeout_seconds, retry, auth=_credentials(name), advice=_ADVICE
    ).to(target)
    path = PurePosixPath(file)
    return read_payload(target, spec.read, name, path.suffix, path.name, texts)


def _credentials(name: str) -> tuple[str, str] | None:
    """User name and key. No error quotes anything of what was found."""
    setting = os.environ.get("KAGGLE_JSON", "").strip()
    if not setting:
        return None
    text: str | None = setting
    if not setting.startswith("{"):
        text = _content(Path(setting))
    if text is None:
        raise SourceError(
            f"{name}: KAGGLE_JSON is neither JSON nor the path of a readable file;"
            f" {_REMEDY}"
        )
    username, key = _parsed(text)
    if not (username and key):
        raise SourceError(
            f"{name}: KAGGLE_JSON must be a JSON object with the texts username and"
            f" key; {_REMEDY}"
        )
    return username, key


def _content(path: Path) -> str | None:
    try:
        return path.expanduser().read_text("utf-8")
    except (OSError, ValueError, RuntimeError):
        return None


def _parsed(text: str) -> tuple[str, str]:
    try:
        token = json.loads(text)
    except ValueError:
        return "", ""
    if not isinstance(token, dict):
        return "", ""
    username, key = token.get("username"), token.get("key")
    if isinstance(username, str) and isinstance(key, str):
        return username, key
    return "", ""
