"""The socket hand-off: holds a port, and passes its socket to the servers behind it.

Servers in containers of their own come and go, and two of them cannot publish the same
port. So one process holds the port and never reads a request: a server that connects to
its Unix socket receives the listening socket itself, and all accept from one queue.
What waits there when a server leaves is accepted by another, so that no connection is
lost, and none passes through a proxy.

Only while no server is connected does the hand-off answer, with 503.
"""

import os
import selectors
import signal
import socket
import time
from pathlib import Path

from ml_assets.serving import logs
from ml_assets.serving.logs import log
from ml_assets.serving.process.refused_clients import RefusedClients
from ml_assets.serving.process.sockets import BACKLOG, listen

# A server that crashed is back by then; until then its clients wait in the queue.
GRACE_SECONDS = 10.0
_TICK_SECONDS = 0.25
_GREETING_SECONDS = 0.5
_GREETING = b"handoff"


class SocketHandoff:
    """Listens on a port for the servers that connect to the Unix socket `path`.

    Parameters
    ----------
    host, port
        Address for clients; port 0 takes a free one.
    path
        Unix socket for servers; whoever may write to it may serve requests.
    grace
        Seconds without a server after which clients are answered 503.
    """

    def __init__(
        self, host: str, port: int, path: Path, grace: float = GRACE_SECONDS
    ) -> None:
        self._listener = listen(host, port)
        self._listener.listen(BACKLOG)
        # Shared with the servers, as the whole socket is.
        self._listener.setblocking(False)
        self.port: int = self._listener.getsockname()[1]
        self._path = path
        self._grace = grace
        self._control = _unix_listener(path)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._control, selectors.EVENT_READ, "control")
        self._clients = RefusedClients(self._selector)
        self._servers: set[socket.socket] = set()
        self._unserved_since = time.monotonic()
        self._is_answering = False
        self.is_closed = False

    def run(self) -> None:
        """Hold the port until `close` is called from a signal handler."""
        log("hand-off open", server__port=self.port, handoff=str(self._path))
        while not self.is_closed:
            for key, _ in self._selector.select(_TICK_SECONDS):
                if key.data == "control":
                    self._pass_listener()
                elif key.data == "client":
                    self._clients.accept(self._listener)
                elif isinstance(key.fileobj, socket.socket):
                    is_server = key.data == "server"
                    act = self._forget if is_server else self._clients.receive
                    act(key.fileobj)
            self._clients.expire()
            self._answer_if_unserved()
        self._path.unlink(missing_ok=True)
        self._clients.close()
        for item in (self._control, self._listener, *self._servers):
            item.close()

    def close(self, *_: object) -> None:
        """Stop `run`, which closes the port."""
        self.is_closed = True

    def _pass_listener(self) -> None:
        """Pass the listening socket to a server that has connected."""
        server, _ = self._control.accept()
        try:
            socket.send_fds(server, [_GREETING], [self._listener.fileno()])
        except OSError as error:
            log("a server left before it was let in", reason=str(error))
            server.close()
            return
        self._servers.add(server)
        self._selector.register(server, selectors.EVENT_READ, "server")
        self._stop_answering()
        log("server behind the hand-off", servers=len(self._servers))

    def _forget(self, server: socket.socket) -> None:
        """Forget a server that hung up: it never sends anything."""
        self._selector.unregister(server)
        self._servers.discard(server)
        server.close()
        self._unserved_since = time.monotonic()
        log("server left the hand-off", servers=len(self._servers))

    def _answer_if_unserved(self) -> None:
        unserved = time.monotonic() - self._unserved_since
        if self._servers or self._is_answering or unserved < self._grace:
            return
        self._is_answering = True
        self._selector.register(self._listener, selectors.EVENT_READ, "client")
        log("nobody is behind the hand-off; answering 503")

    def _stop_answering(self) -> None:
        if self._is_answering:
            self._is_answering = False
            self._selector.unregister(self._listener)


def _unix_listener(path: Path) -> socket.socket:
    """A socket that listens at `path`, for processes of this user only."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Of a hand-off that was killed; nobody listens there any more.
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        listener.bind(str(path))
    finally:
        os.umask(before)
    listener.listen()
    return listener


def connect(path: Path) -> tuple[socket.socket, socket.socket]:
    """Connect to the hand-off at `path`: its listening socket, and the connection.

    The connection becomes readable when the hand-off has closed; closing it is leaving.

    Raises
    ------
    OSError
        If there is no hand-off.
    """
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(_GREETING_SECONDS)
        connection.connect(str(path))
        greeting, descriptors, _, _ = socket.recv_fds(connection, len(_GREETING), 1)
    except OSError:
        connection.close()
        raise
    if greeting != _GREETING or len(descriptors) != 1:
        connection.close()
        raise ConnectionError(f"{path} is no hand-off: it said {greeting!r}")
    connection.setblocking(False)
    return socket.socket(fileno=descriptors[0]), connection


def run(host: str, port: int, path: Path) -> int:
    """Run a hand-off until SIGTERM or SIGINT; the exit code."""
    logs.configure()
    handoff = SocketHandoff(host, port, path)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, handoff.close)
    handoff.run()
    log("hand-off closed", server__port=handoff.port)
    return 0
