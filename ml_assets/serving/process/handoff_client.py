"""A server that accepts connections of a socket hand-off, beside other servers."""

import asyncio
import contextlib
import socket
from collections.abc import Callable
from pathlib import Path

from ml_assets.serving.logs import log
from ml_assets.serving.process.accepting import Protocols, server_of
from ml_assets.serving.process.handoff import connect

_RETRY_SECONDS = 0.1


class HandoffClient:
    """Accepts connections of a hand-off once its server may answer, until it leaves.

    Parameters
    ----------
    handoff
        Unix socket of the hand-off.
    mark
        File that exists while connections are accepted, for those who wait for it.
    may_serve
        Whether the server may answer; called again and again until it does.
    """

    def __init__(
        self, handoff: Path, mark: Path, may_serve: Callable[[], bool]
    ) -> None:
        self._handoff = handoff
        self._mark = mark
        self._may_serve = may_serve
        self._task: asyncio.Task[None] | None = None

    def open(self, protocols: Protocols) -> None:
        """Begin to connect to the hand-off, in a task of its own."""
        self._task = asyncio.get_running_loop().create_task(self._run(protocols))

    async def leave(self) -> None:
        """Accept no more; connections that were accepted stay open."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _run(self, protocols: Protocols) -> None:
        """Serve the hand-off, and the next one when it is gone."""
        while True:
            if self._may_serve():
                try:
                    listener, connection = connect(self._handoff)
                except OSError:
                    # Its container comes back by itself.
                    await asyncio.sleep(_RETRY_SECONDS)
                    continue
                await self._serve(listener, connection, protocols)
            await asyncio.sleep(_RETRY_SECONDS)

    async def _serve(
        self, listener: socket.socket, connection: socket.socket, protocols: Protocols
    ) -> None:
        """Accept connections until the hand-off is gone, or this task is cancelled."""
        loop = asyncio.get_running_loop()
        server = await server_of(listener, protocols)
        try:
            self._mark.touch()
            log("behind the hand-off", handoff=str(self._handoff))
            # The hand-off sends no more; an end of the stream is its end.
            await loop.sock_recv(connection, 1)
        except ConnectionError:
            log("the hand-off broke off", handoff=str(self._handoff))
        finally:
            server.close()
            connection.close()
            self._mark.unlink(missing_ok=True)
