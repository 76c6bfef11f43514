"""The head of a request: the headers that the server reads, and its bounds."""

import re
from collections.abc import Iterable, Iterator, Sequence

from msgspec import Struct
from msgspec.structs import replace

from ml_assets.core.api_key import SMOKE_HEADER
from ml_assets.serving.requests.messages import ARROW, JSON, PLAIN, Form
from ml_assets.serving.requests.problems import Problem

MODEL_HEADER = b"x-model"
ENTITY_HEADER = b"x-entity"
SMOKE = SMOKE_HEADER.encode()
_JSON_BYTES = b"inference-header-content-length"
_CREDENTIALS = (b"authorization", b"x-api-key")
MAX_HEADER_BYTES = 32 * 1024
# Of each line: a colon, a blank, and the end of the line.
_LINE_BYTES = 4
# Headers of a request for another protocol, besides the token in `connection`.
_UPGRADE = (b"upgrade", b"http2-settings")
_SANE_ID = re.compile(rb"[A-Za-z0-9._:/+=@-]{1,128}")

RawHeaders = Sequence[tuple[bytes, bytes]]


class Headers(Struct, frozen=True, gc=False):
    """The headers that the server reads."""

    request_id: str | None
    content_type: bytes
    length: int
    model: str | None
    entity: bytes | None
    encoding: bytes = b""
    credential: bytes | None = None
    form: Form = PLAIN
    origin: bytes | None = None
    is_smoke: bool = False


def read_headers(headers: Iterable[tuple[bytes, bytes]]) -> Headers:
    """Pick the headers that the server reads; a request id only if it is sane.

    Examples
    --------
    >>> read_headers([(b"content-encoding", b"GZIP"), (b"accept", b"*/*")]).encoding
    b'gzip'
    >>> read_headers([(b"authorization", b"Bearer web.secret")]).credential
    b'web.secret'
    """
    request_id = model = entity = credential = origin = None
    content_type, length, encoding = b"", 0, b""
    form, is_smoke = PLAIN, False
    for name, value in headers:
        if name == b"content-type":
            content_type = value
        elif name == b"content-length":
            length = int(value) if value.isdigit() else 0
        elif name == b"x-request-id":
            request_id = sane_request_id(value) or request_id
        elif name == MODEL_HEADER:
            model = value.decode("latin-1")
        elif name == ENTITY_HEADER:
            entity = value
        elif name == b"content-encoding":
            # Several lines are one list, of which no member is known.
            encoding = _encoding(encoding + b"," + value if encoding else value)
        elif name in _CREDENTIALS:
            credential = _credential(name, value, credential)
        elif name == b"accept" and ARROW in value.lower():
            form = replace(form, wants_arrow=True)
        elif name == _JSON_BYTES and value.isdigit():
            form = replace(form, json_bytes=int(value))
        elif name == b"origin":
            origin = value
        elif name == SMOKE:
            is_smoke = True
    if (
        content_type != JSON
        and content_type.lower().partition(b";")[0].strip() == ARROW
    ):
        form = replace(form, is_arrow=True)
    return Headers(
        *(request_id, content_type, length, model, entity, encoding, credential),
        *(form, origin, is_smoke),
    )


def sane_request_id(value: bytes) -> str | None:
    """A request id that is fit for logs and answers; None for another."""
    return value.decode("ascii") if _SANE_ID.fullmatch(value) else None


def _credential(name: bytes, value: bytes, before: bytes | None) -> bytes | None:
    """The API key of a header; empty, which is no key, where two of them differ."""
    if name == b"authorization":
        scheme, _, value = value.partition(b" ")
        if scheme.lower() != b"bearer":
            return before
    found = value.strip()
    return found if before is None or before == found else b""


def _encoding(value: bytes) -> bytes:
    """A ``Content-Encoding`` in lower case; empty where nothing is to be undone."""
    found = value.strip().lower()
    return b"" if found == b"identity" else found


def media_type(content_type: bytes, accepts: tuple[bytes, ...]) -> bytes:
    """Which of the media types `accepts` a body is declared as, in UTF-8.

    Raises
    ------
    Problem
        415 if it is none of them.

    Examples
    --------
    >>> media_type(b"Text/CSV; charset=UTF-8", (b"application/json", b"text/csv"))
    b'text/csv'
    """
    if content_type in accepts:
        return content_type or JSON
    kind, _, rest = content_type.lower().partition(b";")
    charset = rest.replace(b'"', b"").replace(b" ", b"")
    kind = kind.strip()
    if kind and kind in accepts and charset in (b"", b"charset=utf-8"):
        return kind
    found = ascii(content_type[:80].decode("latin-1")) if content_type else "none"
    wanted = b" or ".join(filter(None, accepts)).decode()
    detail = f"expected content-type {wanted}, found {found}"
    raise Problem(415, "unsupported-media-type", detail)


def fault_of_head(version: str, url: bytes, headers: RawHeaders) -> Problem | None:
    """Why a parsed head is refused; None where it is not.

    Parameters
    ----------
    version : str
        Such as ``1.1``; since then a request names the host that it asks (RFC 9112).
    url : bytes
        The target of the request.
    headers : sequence of (bytes, bytes)
        Names in lower case, and values.

    Examples
    --------
    >>> fault_of_head("1.1", b"/", [(b"host", b"a")])
    >>> fault_of_head("1.1", b"/", []).detail
    'expected one host header, found none'
    """
    size, hosts = len(url), 0
    for name, value in headers:
        size += len(name) + len(value) + _LINE_BYTES
        hosts += name == b"host"
    if size > MAX_HEADER_BYTES:
        return headers_too_large()
    if hosts > 1 or (not hosts and version >= "1.1"):
        detail = f"expected one host header, found {hosts or 'none'}"
        return Problem(400, "malformed-request", detail)
    return None


def headers_too_large() -> Problem:
    """The refusal of a head that is longer than any client needs."""
    detail = f"expected at most {MAX_HEADER_BYTES} bytes of headers"
    return Problem(431, "headers-too-large", detail)


def without_upgrade(
    method: bytes, url: bytes, version: str, headers: RawHeaders
) -> bytes:
    """The head of the same request in the protocol that it was sent in.

    Examples
    --------
    >>> without_upgrade(b"GET", b"/", "1.1", [(b"upgrade", b"h2c"), (b"host", b"a")])
    b'GET / HTTP/1.1\\r\\nhost: a\\r\\n\\r\\n'
    """
    lines = [method + b" " + url + b" HTTP/" + version.encode()]
    lines += [name + b": " + value for name, value in _kept(headers)]
    return b"\r\n".join([*lines, b"", b""])


def _kept(headers: RawHeaders) -> Iterator[tuple[bytes, bytes]]:
    for name, value in headers:
        if name in _UPGRADE:
            continue
        if name == b"connection":
            tokens = [token.strip() for token in value.split(b",")]
            value = b", ".join(item for item in tokens if item.lower() not in _UPGRADE)
        yield name, value
