"""A server that takes connections from a socket hand-off, beside other servers."""

import asyncio
import contextlib
import socket
from collections.abc import Callable
from pathlib import Path

from ml_assets.serving.process.handoff import borrow
from ml_assets.serving.logs import log

_RETRY_SECONDS = 0.1

Protocols = Callable[[], asyncio.Protocol]


class HandoffClient:
    """Takes connections of a hand-off once its server may answer, until it leaves.

    Parameters
    ----------
    handoff
        Unix socket of the hand-off.
    mark
        File that exists while connections are taken, for those who wait for it.
    may_enter
        Whether the server may answer; asked again and again until it does.
    """

    def __init__(
        self, handoff: Path, mark: Path, may_enter: Callable[[], bool]
    ) -> None:
        self._handoff = handoff
        self._mark = mark
        self._may_enter = may_enter
        self._task: asyncio.Task[None] | None = None

    def open(self, protocols: Protocols) -> None:
        """Begin to look for the hand-off, in a task of its own."""
        self._task = asyncio.get_running_loop().create_task(self._attend(protocols))

    async def leave(self) -> None:
        """Take no more; connections that were taken stay as they are."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _attend(self, protocols: Protocols) -> None:
        """Stand behind the hand-off, and behind the next one when it is gone."""
        while True:
            if self._may_enter():
                try:
                    listener, bond = borrow(self._handoff)
                except OSError:
                    # Its container comes back by itself.
                    await asyncio.sleep(_RETRY_SECONDS)
                    continue
                await self._stand(listener, bond, protocols)
            await asyncio.sleep(_RETRY_SECONDS)

    async def _stand(
        self, listener: socket.socket, bond: socket.socket, protocols: Protocols
    ) -> None:
        """Take connections until the hand-off is gone, or this task is cancelled."""
        loop = asyncio.get_running_loop()
        server = await loop.create_server(protocols, sock=listener)
        try:
            self._mark.touch()
            log("behind the hand-off", handoff=str(self._handoff))
            # The hand-off never says more; an end of the stream is its end.
            await loop.sock_recv(bond, 1)
        except ConnectionError:
            log("the hand-off broke off", handoff=str(self._handoff))
        finally:
            server.close()
            bond.close()
            self._mark.unlink(missing_ok=True)
