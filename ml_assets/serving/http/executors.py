"""Threads for the requests that cannot be answered at once on the event loop."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

from ml_assets.serving.requests.messages import Handler, Request, Response
from ml_assets.serving.requests.problems import overloaded


class Executor:
    """One thread, and at most `length` requests that wait for it or are in it."""

    def __init__(self, name: str, length: int) -> None:
        self._thread = ThreadPoolExecutor(1, name)
        self._length = length
        self._queued = 0

    def waiting(self) -> int:
        """How many requests wait, or are in the thread."""
        return self._queued

    async def run(self, handler: Handler, request: Request) -> Response:
        """Answer in the thread.

        Raises
        ------
        Problem
            503 if too many wait.
        """
        if self._queued >= self._length:
            raise overloaded("too many slow requests are waiting")
        self._queued += 1
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._thread, handler, request)
        finally:
            self._queued -= 1

    def close(self) -> None:
        """Finish what waits, and stop."""
        self._thread.shutdown()
