"""Heads of requests that were parsed before, by their bytes."""

from collections.abc import Sequence
from typing import NamedTuple

from ml_assets.serving.requests.messages import Headers

_END = b"\r\n\r\n"
_MAX_BYTES = 1024
_MAX_HEADS = 512


class Head(NamedTuple):
    """What the parser said of the head of a prediction that nothing has to wait for."""

    address: bytes
    lines: Sequence[tuple[bytes, bytes]]
    headers: Headers
    keeps_alive: bool


class KnownHeads:
    """Remembers what the HTTP parser made of a head; it never parses one itself.

    The same bytes always mean the same, so that nothing in here can grow old. Clients
    that never repeat a head, as with a request id in each, are parsed as before.

    Examples
    --------
    >>> heads = KnownHeads()
    >>> text = heads.head_of(b"POST / HTTP/1.1\\r\\nhost: a\\r\\n\\r\\n{}")
    >>> text
    b'POST / HTTP/1.1\\r\\nhost: a\\r\\n\\r\\n'
    >>> heads.get(text)
    """

    def __init__(self) -> None:
        self._heads: dict[bytes, Head] = {}

    @staticmethod
    def head_of(data: bytes) -> bytes:
        """The head that `data` begins with, blank line included; empty for none."""
        end = data.find(_END, 0, _MAX_BYTES)
        if end < 0 or not data.startswith(b"POST "):
            return b""
        return data[: end + len(_END)]

    def get(self, text: bytes) -> Head | None:
        """What was made of a head; None where it is not known."""
        return self._heads.get(text)

    def add(self, text: bytes, head: Head) -> None:
        """Remember what the parser made of a head."""
        # A parser may take a bare line feed for the end of a line, and so see the end
        # of the head in another place than `head_of`; a line may be folded.
        ends = text.count(b"\r\n")
        if text.count(b"\n") != ends or len(head.lines) != ends - 2:
            return
        if not text.startswith(b"POST " + head.address + b" HTTP/1.1\r\n"):
            return
        if len(self._heads) >= _MAX_HEADS:
            self._heads.clear()
        self._heads[text] = head
