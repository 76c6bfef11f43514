"""A cache of parsed request heads, by their bytes."""

import re
from collections.abc import Iterable, Sequence

from msgspec import Struct, field
from msgspec.structs import replace

from ml_assets.serving.access.callers import Verdict
from ml_assets.serving.http.request_head import Headers, sane_request_id

_END = b"\r\n\r\n"
_MAX_BYTES = 2048
_MAX_ENTRIES = 512
# Headers to which a proxy gives a value of its own for each request. Of their values,
# which have no end of a line, the server reads the request's id and a trace's parent.
_VARYING = re.compile(
    rb"\r\n(x-request-id|traceparent|tracestate|x-amzn-trace-id|x-forwarded-for)"
    rb":[ ]?([ -~]*)(?=\r\n)",
    re.IGNORECASE,
)


class RequestHead(Struct, frozen=True, gc=False):
    """A parsed head, of a prediction that can be answered as soon as it is read.

    ``verdict`` is that on its key, one for all that differ in what proxies add alone.
    """

    address: bytes
    raw_headers: Sequence[tuple[bytes, bytes]]
    headers: Headers
    keeps_alive: bool
    verdict: Verdict = field(default_factory=Verdict)

    def with_lines(self, lines: Sequence[tuple[bytes, bytes]]) -> "RequestHead":
        """This head with further headers, names in lower case, of those that vary."""
        headers = self.headers
        for name, value in lines:
            if name == b"x-request-id":
                given = sane_request_id(value) or headers.request_id
                headers = replace(headers, request_id=given)
        raw = [*self.raw_headers, *lines]
        return replace(self, headers=headers, raw_headers=raw)


class HeaderCache:
    """Remembers what the HTTP parser made of a head; it never parses one itself.

    The same bytes always mean the same, so that no entry becomes stale. The headers
    that proxies give each request a value of its own are no part of the key: whole
    lines, which mean the same wherever they stand.

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
        return data[: end + len(_END)] if end >= 0 else b""

    def get(self, text: bytes) -> RequestHead | None:
        """The parsed head; None where these bytes are not in the cache."""
        head = self._entries.get(text)
        if head is not None:
            return head
        # What lies between the lines that vary, and the two groups of each.
        parts = _VARYING.split(text)
        head = self._entries.get(b"".join(parts[::3])) if len(parts) > 1 else None
        if head is None:
            return None
        return head.with_lines(_lower(zip(parts[1::3], parts[2::3], strict=True)))

    def add(self, text: bytes, head: RequestHead) -> None:
        """Remember what the parser made of a head."""
        # A parser may take a bare line feed for the end of a line, and so find the end
        # of the head elsewhere than `head_of`; a line may be folded.
        ends = text.count(b"\r\n")
        if text.count(b"\n") != ends or len(head.raw_headers) != ends - 2:
            return
        if not text.startswith(b"POST " + head.address + b" HTTP/1.1\r\n"):
            return
        lines = {name for name, _ in _lower(_VARYING.findall(text))}
        kept = [item for item in head.raw_headers if item[0] not in lines]
        key, count = _VARYING.subn(b"", text)
        if len(kept) != len(head.raw_headers) - count:
            return
        if lines:
            headers = replace(head.headers, request_id=None)
            head = replace(head, raw_headers=kept, headers=headers)
        if len(self._entries) >= _MAX_ENTRIES:
            self._entries.clear()
        self._entries[key] = head


def _lower(lines: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    return [(name.lower(), value.strip(b" ")) for name, value in lines]
