"""What must never be written: secrets of the environment, and passwords in URLs."""

import json
import os
import re
from collections.abc import Iterator, Mapping
from urllib.parse import unquote, urlsplit

HIDDEN = "[redacted]"
# Shorter values would also be found in words that are no secret.
SHORTEST = 6
_SECRET_NAME = re.compile(
    "PASSWORD|PASSWD|SECRET|TOKEN|WEBHOOK|CREDENTIAL|API_?KEY|_KEY(_ID)?$|KAGGLE_JSON"
)
_URL_PASSWORD = re.compile(r"(://[^/\s:@]*):[^/\s]+@")
_BEARER = re.compile(r"\b(bearer|basic) [\w.~+/=-]{8,}", re.IGNORECASE)


class Redactor:
    """Takes secrets out of texts.

    A secret is the value of a variable whose name matches, each text inside of it where
    it is JSON, its path where it is a URL, and any password of a URL.

    Examples
    --------
    >>> hide = Redactor({"SLACK_WEBHOOK": "https://hooks.example.com/services/T0/B0/x"})
    >>> hide("POST /services/T0/B0/x timed out")
    'POST [redacted] timed out'
    >>> hide("postgresql://reader:pass@db/sales")  # pragma: allowlist secret
    'postgresql://reader:[redacted]@db/sales'
    """

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        found = {text for item in environ.items() for text in _secrets(*item)}
        # The longest first: one may be a part of another.
        known = sorted(filter(_is_long_enough, found), key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, known))) if known else None

    def __call__(self, text: str) -> str:
        """`text` without secrets."""
        if self._known is not None:
            text = self._known.sub(HIDDEN, text)
        if "://" in text:
            text = _URL_PASSWORD.sub(rf"\1:{HIDDEN}@", text)
        return _BEARER.sub(rf"\1 {HIDDEN}", text)


def _is_long_enough(text: str) -> bool:
    return len(text) >= SHORTEST


def _secrets(name: str, value: str) -> Iterator[str]:
    """The texts of one variable that nobody may read."""
    address = urlsplit(value) if "://" in value else None
    if address is not None and address.password:
        yield from (address.password, unquote(address.password))
    if not _SECRET_NAME.search(name):
        return
    yield value
    if address is not None:
        yield address.path
    if value.startswith("{"):
        yield from _inner(value)


def _inner(value: str) -> Iterator[str]:
    """The texts of a JSON object such as Kaggle's token; and how JSON writes it."""
    try:
        content = json.loads(value)
    except ValueError:
        return
    yield json.dumps(content)
    yield from (text for text in content.values() if isinstance(text, str))
