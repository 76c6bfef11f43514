"""Accepting whoever waits in the queue of a listening socket, several in a turn.

uvloop accepts one connection in a turn of its loop, and a turn takes milliseconds while
long bodies arrive: who comes behind 64 others would wait for 64 turns.
"""

import asyncio
import contextlib
import select
import socket
from collections.abc import Callable

from ml_assets.serving.process.sockets import BACKLOG

Protocols = Callable[[], asyncio.Protocol]

# In one turn, beside uvloop's own: other workers get their share of many.
_MORE = 15


class AcceptingMore:
    """A factory of protocols that accepts more connections whenever it is called.

    Parameters
    ----------
    listener
        The listening socket, whose server this is the factory of.
    protocols
        Makes the protocol of a connection.
    """

    def __init__(self, listener: socket.socket, protocols: Protocols) -> None:
        self._listener = listener
        self._protocols = protocols
        # Asking costs a tenth of what it takes to accept nobody.
        self._waiting = select.poll()
        self._waiting.register(listener, select.POLLIN)
        self._tasks: set[asyncio.Task[object]] = set()

    def __call__(self) -> asyncio.Protocol:
        """The protocol of a connection that uvloop has accepted."""
        if self._waiting.poll(0):
            self._accept()
        return self._protocols()

    def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        for _ in range(_MORE):
            try:
                connection, _address = self._listener.accept()
            except OSError:
                # Another worker has it, or there is no descriptor left: uvloop waits.
                return
            task = loop.create_task(_connect(connection, self._protocols))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)


async def _connect(connection: socket.socket, protocols: Protocols) -> None:
    loop = asyncio.get_running_loop()
    try:
        await loop.connect_accepted_socket(protocols, connection)
    except OSError:
        # The client is gone.
        connection.close()


async def server_of(listener: socket.socket, protocols: Protocols) -> asyncio.Server:
    """A server that accepts the connections of `listener`, which it closes."""
    loop = asyncio.get_running_loop()
    listener.setblocking(False)
    factory = AcceptingMore(listener, protocols)
    return await loop.create_server(factory, sock=listener, backlog=BACKLOG)


async def close_behind_all(
    server: asyncio.Server, listener: socket.socket, protocols: Protocols
) -> None:
    """Close the `server` of `listener` as soon as it has accepted whoever waits.

    The system resets the connections that wait for a socket that nobody has any more.
    """
    last = listener.dup()
    server.close()
    found = []
    with last, contextlib.suppress(OSError):
        for _ in range(BACKLOG):
            found.append(last.accept()[0])
    await asyncio.gather(*(_connect(connection, protocols) for connection in found))
