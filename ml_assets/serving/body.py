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
        message = await receive()
        if message["type"] != "http.request":
            raise ClientGone
        body: bytes = message["body"]
        if len(body) > self.max_bytes:
            raise self._too_large()
        if not message["more_body"]:
            return body
        return await self._read_rest(receive, body)

    async def _read_rest(self, receive: Receive, first: bytes) -> bytes:
        body = bytearray()
        chunk, more = first, True
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
                message = await receive()
                if message["type"] != "http.request":
                    raise ClientGone
                chunk, more = message["body"], message["more_body"]
        finally:
            self._left += len(body)

    def _too_large(self) -> Problem:
        detail = f"expected at most {self.max_bytes} bytes"
        return Problem(413, "body-too-large", detail)
