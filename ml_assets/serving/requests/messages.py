"""What routes are made of: requests, responses, and the headers that are read."""

import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from ml_assets.serving.http.encodings import encoding_of
from ml_assets.serving.requests.problems import Problem
from ml_assets.serving.metrics.collector import Series

if TYPE_CHECKING:
    from ml_assets.serving.metrics.counting import ArmSeries
    from ml_assets.serving.models.router import ServedModel

JSON = b"application/json"
MODEL_HEADER = b"x-model"
ENTITY_HEADER = b"x-entity"

_SANE_ID = re.compile(rb"[A-Za-z0-9._:/+=@-]{1,128}")


class Request(NamedTuple):
    """One HTTP request, with its body read.

    ``received`` is the `time.perf_counter` of its headers, ``entity`` the header that
    says whom it is about.
    """

    request_id: str
    body: bytes
    received: float = 0.0
    entity: bytes | None = None
    path: str = ""


class Response(NamedTuple):
    """An answer with status 200, or another where nothing is wrong with the request.

    ``rows`` and ``series`` say what is counted; ``others`` counts the rows of further
    arms.
    """

    body: bytes
    status: int = 200
    content_type: bytes = JSON
    rows: int = 0
    series: Series | None = None
    headers: tuple[tuple[bytes, bytes], ...] = ()
    others: tuple[tuple[Series, int], ...] = ()


Handler = Callable[[Request], Response]


class Route(NamedTuple):
    """What one address does: POST takes JSON.

    ``model`` answers predictions and ``arms`` counts them; ``uses_files`` is set where
    the disk is waited for.
    """

    method: str
    handler: Handler
    series: Series
    model: "ServedModel | None" = None
    arms: "ArmSeries | None" = None
    uses_files: bool = False


class Headers(NamedTuple):
    """The headers that the server heeds."""

    request_id: str | None
    content_type: bytes
    length: int
    model: str | None
    entity: bytes | None
    encoding: bytes = b""


def read_headers(headers: Iterable[tuple[bytes, bytes]]) -> Headers:
    """Pick the headers that the server heeds; a request id only if it is sane."""
    request_id = model = entity = None
    content_type, length, encoding = b"", 0, b""
    for name, value in headers:
        if name == b"content-type":
            content_type = value
        elif name == b"content-length":
            length = int(value) if value.isdigit() else 0
        elif name == b"x-request-id" and _SANE_ID.fullmatch(value):
            request_id = value.decode("ascii")
        elif name == MODEL_HEADER:
            model = value.decode("latin-1")
        elif name == ENTITY_HEADER:
            entity = value
        elif name == b"content-encoding":
            # Several lines are one list, of which no member is known.
            encoding = encoding_of(encoding + b"," + value if encoding else value)
    return Headers(request_id, content_type, length, model, entity, encoding)


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
