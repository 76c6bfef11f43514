"""A cache of parsed request heads, by their bytes."""

from collections.abc import Sequence
from typing import NamedTuple

from ml_assets.serving.http.request_head import Headers

_END = b"\r\n\r\n"
_MAX_BYTES = 1024
_MAX_ENTRIES = 512


class RequestHead(NamedTuple):
    """A parsed head, of a prediction that can be answered as soon as it is read."""

    address: bytes
    raw_headers: Sequence[tuple[bytes, bytes]]
    headers: Headers
    keeps_alive: bool


class HeaderCache:
    """Remembers what the HTTP parser made of a head; it never parses one itself.

    The same bytes always mean the same, so that no entry becomes stale. Clients that
    never repeat a head, as with a request id in each, are parsed every time.

    Examples
    --------
    >>> cache = HeaderCache()
    >>> text = cache.head_of(b"POST / HTTP/1.1\\r\\nhost: a\\r\\n\\r\\n{}")
    >>> text
    b'POST / HTTP/1.1\\r\\nhost: a\\r\\n\\r\\n'
    >>> cache.get(text)
    """

    def __init__(self) -> None:
        self._entries: dict[bytes, RequestHead] = {}

    @staticmethod
    def head_of(data: bytes) -> bytes:
        """The head that `data` begins with, blank line included; empty for none."""
        end = data.find(_END, 0, _MAX_BYTES)
        if end < 0 or not data.startswith(b"POST "):
            return b""
        return data[: end + len(_END)]

    def get(self, text: bytes) -> RequestHead | None:
        """The parsed head; None where these bytes are not in the cache."""
        return self._entries.get(text)

    def add(self, text: bytes, head: RequestHead) -> None:
        """Remember what the parser made of a head."""
        # A parser may take a bare line feed for the end of a line, and so find the end
        # of the head elsewhere than `head_of`; a line may be folded.
        ends = text.count(b"\r\n")
        if text.count(b"\n") != ends or len(head.raw_headers) != ends - 2:
            return
        if not text.startswith(b"POST " + head.address + b" HTTP/1.1\r\n"):
            return
        if len(self._entries) >= _MAX_ENTRIES:
            self._entries.clear()
        self._entries[text] = head
