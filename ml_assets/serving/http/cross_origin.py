"""Which pages of other origins may read the answers (CORS, the Fetch standard)."""

from ml_assets.serving.requests.messages import Response

Pairs = tuple[tuple[bytes, bytes], ...]

# What a page may ask to send, for ten minutes without asking again.
PREFLIGHT = Response(
    b"",
    content_type=b"text/plain",
    headers=(
        (b"access-control-allow-methods", b"GET, HEAD, POST"),
        (
            b"access-control-allow-headers",
            b"authorization, content-encoding, content-type, traceparent, tracestate,"
            b" x-api-key, x-entity, x-model, x-request-id",
        ),
        (b"access-control-max-age", b"600"),
    ),
)
_EXPOSED = (b"access-control-expose-headers", b"retry-after, x-request-id")
_VARY = (b"vary", b"origin")


class CrossOrigin:
    """The headers of answers, where pages of some `origins` may read them.

    Examples
    --------
    >>> pages = CrossOrigin(["https://a.example"])
    >>> pages.headers(b"https://a.example")[1]
    (b'access-control-allow-origin', b'https://a.example')
    >>> pages.headers(b"https://b.example")
    ((b'vary', b'origin'),)
    """

    def __init__(self, origins: list[str]) -> None:
        self._is_any = "*" in origins
        self._origins = frozenset(origin.encode() for origin in origins)
        # Whether any answer has such headers.
        self.is_asked = bool(origins)

    def is_preflight(self, method: str, origin: bytes | None) -> bool:
        """Whether a browser asks what a page may send."""
        return bool(self._origins) and method == "OPTIONS" and origin is not None

    def headers(self, origin: bytes | None) -> Pairs:
        """What an answer to a page of `origin` has besides; None is no page."""
        if self._is_any:
            allowed = (b"access-control-allow-origin", b"*")
            return (allowed, _EXPOSED) if origin is not None else ()
        if not self._origins:
            return ()
        if origin is None or origin not in self._origins:
            # A cache must not give this answer to a page that may read it.
            return (_VARY,)
        return (_VARY, (b"access-control-allow-origin", origin), _EXPOSED)
