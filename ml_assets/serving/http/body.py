"""Reading a request's body within bounds, and inflating one that is compressed."""

import asyncio
import threading
import zlib
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ml_assets.serving.requests.problems import Problem, overloaded
from ml_assets.serving.requests.turns import TURN_BYTES

Receive = Callable[[], Awaitable[Any]]

# Longer bodies take milliseconds to decode, and are answered by the thread.
SMALL_BYTES = TURN_BYTES
_SMALL_BUDGET = 32 * 2**20
_LARGE_BODIES = 8
# zlib's numbers for the header and trailer that it expects.
_WINDOWS = {b"gzip": 31, b"x-gzip": 31, b"deflate": zlib.MAX_WBITS}
# A body is inflated in pieces: where gzip joins streams, what follows one of them in
# its piece is copied, and a body may hold hundreds of thousands.
_PIECE_BYTES = 16 * 1024
_ACCEPTED = (b"accept-encoding", b"gzip, deflate")


class ClientGone(Exception):
    """The client closed the connection before its request was complete."""


class Budget:
    """Bytes of bodies that may be in memory at a time; threads may give back."""

    def __init__(self, size: int, detail: str) -> None:
        self.left = size
        self._detail = detail
        self._lock = threading.Lock()

    def take(self, size: int) -> None:
        """Take `size` bytes; 503 if there is no room."""
        with self._lock:
            if size > self.left:
                raise overloaded(self._detail)
            self.left -= size

    def give_back(self, size: int) -> None:
        """Give `size` bytes back."""
        with self._lock:
            self.left += size


class Reservation:
    """What one request has reserved of the budgets, as long as its body is kept."""

    def __init__(self, small: Budget, large: Budget) -> None:
        self._small = small
        self._large = large
        self._reserved: list[tuple[Budget, int]] = []

    def reserve_small(self, size: int) -> None:
        """Reserve `size` bytes more for a small body; 503 if there is no room."""
        self._reserve(self._small, size)

    def reserve_large(self, size: int) -> None:
        """The same for a large body, so that large ones never crowd out small ones."""
        self._reserve(self._large, size)

    def _reserve(self, budget: Budget, size: int) -> None:
        budget.take(size)
        self._reserved.append((budget, size))

    def moved(self) -> "Reservation":
        """A reservation of all that this one had reserved, which is empty then."""
        other = Reservation(self._small, self._large)
        other._reserved, self._reserved = self._reserved, []
        return other

    def release(self) -> None:
        """Give everything back."""
        while self._reserved:
            budget, size = self._reserved.pop()
            budget.give_back(size)


class BodyReader:
    """Reads bodies of at most `max_bytes`, of which only so many are in memory at once.

    A large body is reserved at the length that its client declares, before it is read,
    so that those that are admitted can be read to their end; all others are reserved as
    they arrive, so that a client that declares and does not send reserves nothing.
    """

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self._small = Budget(_SMALL_BUDGET, "too many bodies are in memory")
        size = _LARGE_BODIES * max(max_bytes, SMALL_BYTES)
        self._large = Budget(size, "too many large bodies are in memory")
        self._thread = ThreadPoolExecutor(1, "bodies")

    def close(self) -> None:
        """Stop the thread."""
        self._thread.shutdown(cancel_futures=True)

    def reservation(self) -> Reservation:
        """The empty reservation of a request; release it when the answer is sent."""
        return Reservation(self._small, self._large)

    async def read(
        self,
        receive: Receive,
        declared: int,
        encoding: bytes,
        reservation: Reservation,
    ) -> bytes:
        """The whole body, inflated, whose length the client declared, else 0.

        Raises
        ------
        Problem
            413 as soon as the body is known to be too long; 503 if too many bodies are
            in memory; 400 or 415 if it is not in its `encoding`, or that is not known.
        ClientGone
            If the client went away.
        """
        body = await self._read(receive, declared, reservation)
        if not encoding:
            return body
        # Beside the event loop: few bytes may become as many as are allowed. One after
        # the other, so that what is not reserved yet is one body at most.
        whole = await asyncio.get_running_loop().run_in_executor(
            self._thread, inflated, body, encoding, self.max_bytes
        )
        if len(whole) > SMALL_BYTES:
            reservation.reserve_large(len(whole))
        else:
            reservation.reserve_small(len(whole))
        return whole

    async def _read(
        self, receive: Receive, declared: int, reservation: Reservation
    ) -> bytes:
        if declared > self.max_bytes:
            raise body_too_large(self.max_bytes)
        is_reserved = declared > SMALL_BYTES
        if is_reserved:
            reservation.reserve_large(declared)
        more = True
        parts: list[bytes] = []
        size = 0
        while more:
            chunk, more = _part(await receive())
            size += len(chunk)
            if size > self.max_bytes:
                raise body_too_large(self.max_bytes)
            if not is_reserved:
                is_small = size <= SMALL_BYTES
                reserve = (
                    reservation.reserve_small if is_small else reservation.reserve_large
                )
                reserve(len(chunk))
            parts.append(chunk)
        if size > SMALL_BYTES:
            # Beside the event loop: the pages of a new copy take milliseconds.
            return await asyncio.get_running_loop().run_in_executor(
                self._thread, b"".join, parts
            )
        return parts[0] if len(parts) == 1 else b"".join(parts)


def body_too_large(max_bytes: int) -> Problem:
    """The refusal of a body that is longer than the bound."""
    return Problem(413, "body-too-large", f"expected at most {max_bytes} bytes")


def _part(message: Any) -> tuple[bytes, bool]:
    """A part of a body, and whether more will come."""
    if message["type"] != "http.request":
        raise ClientGone
    return message["body"], message["more_body"]


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
    stream = zlib.decompressobj(window)
    for start in range(0, len(body), _PIECE_BYTES):
        piece = body[start : start + _PIECE_BYTES]
        while piece:
            if stream.eof:
                stream = zlib.decompressobj(window)
            try:
                part = stream.decompress(piece, left + 1)
            except zlib.error as error:
                raise _malformed("is not in its content-encoding") from error
            left -= len(part)
            if left < 0:
                raise Problem(
                    413,
                    "body-too-large",
                    f"expected at most {max_bytes} bytes inflated",
                )
            parts.append(part)
            piece = stream.unused_data
    if not stream.eof:
        raise _malformed("ends before its content-encoding does")
    return b"".join(parts)


def _malformed(what: str) -> Problem:
    return Problem(400, "malformed-encoding", f"the body {what}")
