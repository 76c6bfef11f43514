"""What a request's head must be, whatever the packets that it arrived in."""

from collections.abc import Iterator, Sequence

from ml_assets.serving.requests.problems import Problem

MAX_HEADER_BYTES = 32 * 1024
# Of each line: a colon, a blank, and the end of the line.
_LINE_BYTES = 4
# What a request for another protocol says, besides the token in `connection`.
_UPGRADE = (b"upgrade", b"http2-settings")

Headers = Sequence[tuple[bytes, bytes]]


def fault_of_head(version: str, url: bytes, headers: Headers) -> Problem | None:
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


def without_upgrade(method: bytes, url: bytes, version: str, headers: Headers) -> bytes:
    """The head of the same request in the protocol that it was sent in.

    Examples
    --------
    >>> without_upgrade(b"GET", b"/", "1.1", [(b"upgrade", b"h2c"), (b"host", b"a")])
    b'GET / HTTP/1.1\\r\\nhost: a\\r\\n\\r\\n'
    """
    lines = [method + b" " + url + b" HTTP/" + version.encode()]
    lines += [name + b": " + value for name, value in _kept(headers)]
    return b"\r\n".join([*lines, b"", b""])


def _kept(headers: Headers) -> Iterator[tuple[bytes, bytes]]:
    for name, value in headers:
        if name in _UPGRADE:
            continue
        if name == b"connection":
            tokens = [token.strip() for token in value.split(b",")]
            value = b", ".join(item for item in tokens if item.lower() not in _UPGRADE)
        yield name, value
