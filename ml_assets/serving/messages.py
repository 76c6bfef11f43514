"""What routes are made of: requests, responses, and the headers that are read."""

import re
from collections.abc import Callable, Iterable
from typing import NamedTuple

import msgspec

from ml_assets.serving.metrics import Series
from ml_assets.serving.problems import Problem
from ml_assets.serving.router import ServedModel

JSON = b"application/json"
MODEL_HEADER = b"x-model"

_SANE_ID = re.compile(rb"[A-Za-z0-9._:/+=@-]{1,128}")


class Request(NamedTuple):
    """One HTTP request, with its body read."""

    request_id: str
    body: bytes


class Response(NamedTuple):
    """An answer with status 200, or another where nothing is wrong with the request."""

    body: bytes
    status: int = 200
    content_type: bytes = JSON
    rows: int = 0
    series: Series | None = None
    headers: tuple[tuple[bytes, bytes], ...] = ()


Handler = Callable[[Request], Response]


class Route(NamedTuple):
    """What one address does: GET answers at once, POST takes JSON."""

    method: str
    handler: Handler
    series: Series
    model: ServedModel | None = None


class Headers(NamedTuple):
    """The headers that the server heeds."""

    request_id: str | None
    content_type: bytes
    length: int
    model: str | None


def read_headers(headers: Iterable[tuple[bytes, bytes]]) -> Headers:
    """Pick the headers that the server heeds; a request id only if it is sane."""
    request_id = model = None
    content_type, length = b"", 0
    for name, value in headers:
        if name == b"content-type":
            content_type = value
        elif name == b"content-length":
            length = int(value) if value.isdigit() else 0
        elif name == b"x-request-id" and _SANE_ID.fullmatch(value):
            request_id = value.decode("ascii")
        elif name == MODEL_HEADER:
            model = value.decode("latin-1")
    return Headers(request_id, content_type, length, model)


def require_json(content_type: bytes) -> None:
    """Refuse a body that does not say that it is JSON in UTF-8."""
    if content_type == JSON:
        return
    kind, _, rest = content_type.lower().partition(b";")
    charset = rest.replace(b'"', b"").replace(b" ", b"")
    if kind.strip() == JSON and charset in (b"", b"charset=utf-8"):
        return
    found = ascii(content_type[:80].decode("latin-1")) if content_type else "none"
    detail = f"expected content-type application/json, found {found}"
    raise Problem(415, "unsupported-media-type", detail)


def json_response(value: object, status: int = 200) -> Response:
    """`value` as JSON."""
    return Response(msgspec.json.encode(value), status)
