"""Reading a request's body within bounds, and holding it until it is answered."""

from collections.abc import Awaitable, Callable
from typing import Any

from ml_assets.serving.http.encodings import inflated
from ml_assets.serving.requests.problems import Problem, overloaded

Receive = Callable[[], Awaitable[Any]]

# Longer bodies take milliseconds to decode, and are answered by the thread.
SMALL_BYTES = 256 * 1024
_SMALL_BUDGET = 32 * 2**20
_LARGE_BODIES = 8


class ClientGone(Exception):
    """The client closed the connection before its request was complete."""


class Budget:
    """Bytes of bodies that may be in memory at a time."""

    def __init__(self, size: int, detail: str) -> None:
        self.left = size
        self.detail = detail


class HeldBytes:
    """What one request holds of the budgets until its answer is sent."""

    def __init__(self, small: Budget, large: Budget) -> None:
        self._small = small
        self._large = large
        self._taken: list[tuple[Budget, int]] = []

    def take_small(self, size: int) -> None:
        """Hold `size` bytes more of a small body; 503 if there is no room."""
        self._take(self._small, size)

    def take_large(self, size: int) -> None:
        """The same of a large body, so that large ones never crowd out small ones."""
        self._take(self._large, size)

    def _take(self, budget: Budget, size: int) -> None:
        if size > budget.left:
            raise overloaded(budget.detail)
        budget.left -= size
        self._taken.append((budget, size))

    def release(self) -> None:
        """Give everything back."""
        while self._taken:
            budget, size = self._taken.pop()
            budget.left += size


class BodyReader:
    """Reads bodies of at most `max_bytes`, of which only so many are held at a time.

    A large body is held at the length that its client declares, before it is read, so
    that those that are admitted can be read to their end; all others are held as they
    arrive, so that a client that declares and does not send holds nothing.
    """

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self._small = Budget(_SMALL_BUDGET, "too many bodies are in memory")
        size = _LARGE_BODIES * max(max_bytes, SMALL_BYTES)
        self._large = Budget(size, "too many large bodies are in memory")

    def hold(self) -> HeldBytes:
        """What a request will hold; release it when the answer is sent."""
        return HeldBytes(self._small, self._large)

    async def read(
        self, receive: Receive, declared: int, encoding: bytes, held: HeldBytes
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
        body = await self._read(receive, declared, held)
        if not encoding:
            return body
        whole = inflated(body, encoding, self.max_bytes)
        if len(whole) > SMALL_BYTES:
            held.take_large(len(whole))
        else:
            held.take_small(len(whole))
        return whole

    async def _read(self, receive: Receive, declared: int, held: HeldBytes) -> bytes:
        if declared > self.max_bytes:
            raise body_too_large(self.max_bytes)
        is_held = declared > SMALL_BYTES
        if is_held:
            held.take_large(declared)
        body, more = b"", True
        parts: list[bytes] = []
        size = 0
        while more:
            chunk, more = _part(await receive())
            size += len(chunk)
            if size > self.max_bytes:
                raise body_too_large(self.max_bytes)
            if not is_held:
                take = held.take_small if size <= SMALL_BYTES else held.take_large
                take(len(chunk))
            parts.append(chunk)
        body = parts[0] if len(parts) == 1 else b"".join(parts)
        return body


def body_too_large(max_bytes: int) -> Problem:
    """The refusal of a body that is longer than the bound."""
    return Problem(413, "body-too-large", f"expected at most {max_bytes} bytes")


def _part(message: Any) -> tuple[bytes, bool]:
    """A part of a body, and whether more will come."""
    if message["type"] != "http.request":
        raise ClientGone
    return message["body"], message["more_body"]
