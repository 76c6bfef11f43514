"""The socket hand-off: holds a port, and lends its socket to the servers behind it.

Servers in containers of their own come and go, and two of them cannot publish the same
port. So one process holds the port and never reads a request: whoever asks at its Unix
socket is handed the listening socket itself, and all accept from one queue. What waits
there when a server leaves is accepted by another, so that no connection is lost, and
none takes a detour.

Only while nobody is behind it does the hand-off answer, with 503.
"""

import contextlib
import os
import selectors
import signal
import socket
import time
from pathlib import Path

from ml_assets.serving.requests.problems import Problem
from ml_assets.serving import logs
from ml_assets.serving.logs import log
from ml_assets.serving.process.sockets import listen

BACKLOG = 1024
# A server that crashed is back by then; until then its clients wait in line.
GRACE_SECONDS = 10.0
_TICK_SECONDS = 0.25
_CLIENT_SECONDS = 0.5
_WORD = b"handoff"


class SocketHandoff:
    """A port held for servers that ask at the Unix socket `path`.

    Parameters
    ----------
    host, port
        Where clients come; port 0 takes a free one.
    path
        Unix socket at which servers ask; whoever may write to it may take requests.
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
        self._desk = _desk(path)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._desk, selectors.EVENT_READ, "desk")
        self._servers: set[socket.socket] = set()
        self._alone_since = time.monotonic()
        self._is_answering = False
        self.is_closed = False

    def run(self) -> None:
        """Hold the port until `close` is called from a signal handler."""
        log("hand-off open", server__port=self.port, handoff=str(self._path))
        while not self.is_closed:
            for key, _ in self._selector.select(_TICK_SECONDS):
                if key.data == "desk":
                    self._admit()
                elif key.data == "client":
                    self._turn_away()
                elif isinstance(key.fileobj, socket.socket):
                    self._dismiss(key.fileobj)
            self._answer_if_alone()
        self._path.unlink(missing_ok=True)
        for item in (self._desk, self._listener, *self._servers):
            item.close()

    def close(self, *_: object) -> None:
        """Let go of the port."""
        self.is_closed = True

    def _admit(self) -> None:
        """Lend the listening socket to a server, which is behind the hand-off now."""
        server, _ = self._desk.accept()
        try:
            socket.send_fds(server, [_WORD], [self._listener.fileno()])
        except OSError as error:
            log("a server left before it was let in", reason=str(error))
            server.close()
            return
        self._servers.add(server)
        self._selector.register(server, selectors.EVENT_READ, "server")
        self._stop_answering()
        log("server behind the hand-off", servers=len(self._servers))

    def _dismiss(self, server: socket.socket) -> None:
        """Forget a server that hung up: it never sends anything."""
        self._selector.unregister(server)
        self._servers.discard(server)
        server.close()
        self._alone_since = time.monotonic()
        log("server left the hand-off", servers=len(self._servers))

    def _answer_if_alone(self) -> None:
        alone = time.monotonic() - self._alone_since
        if self._servers or self._is_answering or alone < self._grace:
            return
        self._is_answering = True
        self._selector.register(self._listener, selectors.EVENT_READ, "client")
        log("nobody is behind the hand-off; answering 503")

    def _stop_answering(self) -> None:
        if self._is_answering:
            self._is_answering = False
            self._selector.unregister(self._listener)

    def _turn_away(self) -> None:
        """Say 503 to one client, whatever it asks; it may be gone already."""
        with contextlib.suppress(OSError), self._listener.accept()[0] as client:
            client.settimeout(_CLIENT_SECONDS)
            client.recv(65536)
            client.sendall(_REFUSAL)
            client.shutdown(socket.SHUT_WR)


def _desk(path: Path) -> socket.socket:
    """The Unix socket at `path`, for processes of this user only."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Of a hand-off that was killed; nobody listens there any more.
    path.unlink(missing_ok=True)
    desk = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        desk.bind(str(path))
    finally:
        os.umask(before)
    desk.listen()
    return desk


def _refusal() -> bytes:
    body = Problem(503, "no-plan", "no server of the model is running").body()
    return (
        b"HTTP/1.1 503 Service Unavailable\r\n"
        b"content-type: application/problem+json\r\nretry-after: 5\r\n"
        b"connection: close\r\ncontent-length: %d\r\n\r\n" % len(body)
    ) + body


_REFUSAL = _refusal()


def borrow(path: Path) -> tuple[socket.socket, socket.socket]:
    """Step behind the hand-off at `path`: its listening socket, and the bond to it.

    The bond can be read from when the hand-off has closed; closing it is leaving.

    Raises
    ------
    OSError
        If there is no hand-off.
    """
    bond = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        bond.settimeout(_CLIENT_SECONDS)
        bond.connect(str(path))
        word, descriptors, _, _ = socket.recv_fds(bond, len(_WORD), 1)
    except OSError:
        bond.close()
        raise
    if word != _WORD or len(descriptors) != 1:
        bond.close()
        raise ConnectionError(f"{path} is no hand-off: it said {word!r}")
    bond.setblocking(False)
    return socket.socket(fileno=descriptors[0]), bond


def hold(host: str, port: int, path: Path) -> int:
    """Hold a port until SIGTERM or SIGINT; the exit code."""
    logs.configure()
    handoff = SocketHandoff(host, port, path)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, handoff.close)
    handoff.run()
    log("hand-off closed", server__port=handoff.port)
    return 0
