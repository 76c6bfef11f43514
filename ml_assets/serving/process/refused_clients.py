"""Clients of a port behind which there is no server: each is answered 503."""

import contextlib
import selectors
import socket
import time
from uuid import uuid4

from ml_assets.serving.requests.problems import Problem

# The time of a client to send its request, and how many of them there are at most.
_CLIENT_SECONDS = 10.0
_MOST = 256


class RefusedClients:
    """Clients that are answered 503, whatever they ask.

    What a client still sends is dropped until it closes its side: a socket that is
    closed before that is reset, and the answer lost.

    Parameters
    ----------
    selector
        Where clients are registered, with the data "refused".
    """

    def __init__(self, selector: selectors.BaseSelector) -> None:
        self._selector = selector
        # Until when each may be here: the longest here is the first.
        self._until: dict[socket.socket, float] = {}
        self._answered: set[socket.socket] = set()

    def accept(self, listener: socket.socket) -> None:
        """Take a client that waits for `listener`; it may be gone already."""
        with contextlib.suppress(OSError):
            client = listener.accept()[0]
            client.setblocking(False)
            self._selector.register(client, selectors.EVENT_READ, "refused")
            self._until[client] = time.monotonic() + _CLIENT_SECONDS
        if len(self._until) > _MOST:
            self._close(next(iter(self._until)))

    def receive(self, client: socket.socket) -> None:
        """Answer a client that has sent something, and drop what it sends on."""
        # One that this turn has closed already is not among them.
        if client not in self._until:
            return
        try:
            is_open = bool(client.recv(65536))
            if is_open and client not in self._answered:
                self._answered.add(client)
                client.sendall(_refusal())
                client.shutdown(socket.SHUT_WR)
        except OSError:
            is_open = False
        if not is_open:
            self._close(client)

    def expire(self) -> None:
        """Close the clients whose time is over."""
        now = time.monotonic()
        for client in [item for item, until in self._until.items() if until < now]:
            self._close(client)

    def close(self) -> None:
        """Close all."""
        for client in [*self._until]:
            self._close(client)

    def _close(self, client: socket.socket) -> None:
        del self._until[client]
        self._answered.discard(client)
        self._selector.unregister(client)
        client.close()


def _refusal() -> bytes:
    request_id = str(uuid4())
    problem = Problem(503, "no-plan", "no server of the model is running")
    body = problem.body(request_id)
    return (
        b"HTTP/1.1 503 Service Unavailable\r\n"
        b"content-type: application/problem+json\r\nretry-after: 5\r\n"
        b"connection: close\r\nx-request-id: %b\r\ncontent-length: %d\r\n\r\n"
        % (request_id.encode(), len(body))
    ) + body
