"""Reading a request's body within bounds, before it is held in memory."""

from collections.abc import Awaitable, Callable
from typing import Any

from ml_assets.serving.problems import Problem, overloaded

Receive = Callable[[], Awaitable[Any]]


class ClientGone(Exception):
    """The client closed the connection before its request was complete."""


class BodyReader:
    """Reads bodies of at most `max_bytes`, and at most `budget` bytes at a time in all.

    A body that arrives in one piece, as nearly all do, is not counted: it is already
    there, and is answered before anything else is read.
    """

    def __init__(self, max_bytes: int, budget: int) -> None:
        self.max_bytes = max_bytes
        self._left = budget

    async def read(self, receive: Receive, declared: int) -> bytes:
        """The whole body, whose length the client declared, or 0 if it did not.

        Raises
        ------
        Problem
            413 as soon as the body is known to be too long; 503 if too many long
            bodies are being read.
        ClientGone
            If the client went away.
        """
        if declared > self.max_bytes:
            raise self._too_large()
        chunk, more = _part(await receive())
        if not more and len(chunk) <= self.max_bytes:
            return chunk
        body = bytearray()
        try:
            while True:
                if len(chunk) > self._left:
                    raise overloaded("too many large bodies are being read")
                self._left -= len(chunk)
                body += chunk
                if len(body) > self.max_bytes:
                    raise self._too_large()
                if not more:
                    return bytes(body)
                chunk, more = _part(await receive())
        finally:
            self._left += len(body)

    def _too_large(self) -> Problem:
        detail = f"expected at most {self.max_bytes} bytes"
        return Problem(413, "body-too-large", detail)


def _part(message: Any) -> tuple[bytes, bool]:
    """A part of a body, and whether more will come."""
    if message["type"] != "http.request":
        raise ClientGone
    return message["body"], message["more_body"]
