"""Bodies that clients compress: ``Content-Encoding`` gzip and deflate."""

import zlib

from ml_assets.serving.requests.problems import Problem

# zlib's numbers for the header and trailer that it expects.
_WINDOWS = {b"gzip": 31, b"x-gzip": 31, b"deflate": zlib.MAX_WBITS}
_ACCEPTED = (b"accept-encoding", b"gzip, deflate")


def encoding_of(value: bytes) -> bytes:
    """A ``Content-Encoding`` in lower case; empty where nothing is to be undone.

    Examples
    --------
    >>> encoding_of(b"GZIP"), encoding_of(b"identity"), encoding_of(b"")
    (b'gzip', b'', b'')
    """
    found = value.strip().lower()
    return b"" if found == b"identity" else found


def inflated(body: bytes, encoding: bytes, max_bytes: int) -> bytes:
    """The body as its client had it, of at most `max_bytes`.

    Raises
    ------
    Problem
        415 for an encoding that is not known; 413 for a body that would be longer,
        which is found out before it is; 400 for one that is not in its encoding.

    Examples
    --------
    >>> import gzip
    >>> inflated(gzip.compress(b"{}"), b"gzip", 10)
    b'{}'
    """
    window = _WINDOWS.get(encoding)
    if window is None:
        found = ascii(encoding[:80].decode("latin-1"))
        detail = f"expected content-encoding gzip or deflate, found {found}"
        raise Problem(415, "unsupported-media-type", detail, headers=[_ACCEPTED])
    parts: list[bytes] = []
    left = max_bytes
    while body or not parts:
        part, body = _member(body, window, left + 1)
        left -= len(part)
        if left < 0:
            raise Problem(
                413, "body-too-large", f"expected at most {max_bytes} bytes inflated"
            )
        parts.append(part)
    return b"".join(parts)


def _member(body: bytes, window: int, most: int) -> tuple[bytes, bytes]:
    """One compressed stream, and what follows it: gzip may join several."""
    stream = zlib.decompressobj(window)
    try:
        found = stream.decompress(body, most)
    except zlib.error as error:
        raise _malformed("is not in its content-encoding") from error
    if len(found) < most and not stream.eof:
        raise _malformed("ends before its content-encoding does")
    return found, stream.unused_data


def _malformed(what: str) -> Problem:
    return Problem(400, "malformed-encoding", f"the body {what}")
