"""A store of objects that can be cut off: a proxy before it that misbehaves."""

import contextlib
import functools
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any, Literal

import obstore
import pytest

from ml_assets.core import object_store
from ml_assets.core import storage as module
from ml_assets_tests.kits.buckets import azure_container, s3_bucket

Mode = Literal["through", "refuse", "error", "hang", "lose"]
BUSY = b"HTTP/1.1 503 Busy\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
# How a request begins.
METHODS = (b"GET ", b"PUT ", b"POST ", b"HEAD ", b"DELETE ")
WRITES = (b"PUT ", b"POST ", b"DELETE ")
# What changes an object, or reads one.
CHANGES, READS = ("put", "delete"), ("get", "head", "list", "list_with_delimiter")


class Outage:
    """Passes connections on to a port of this machine, or does not.

    ``mode`` is for what comes next: ``refuse`` closes what is asked, ``error`` answers
    503, ``hang`` answers nothing, and ``lose`` passes the next write on, keeps its
    reply, and is over.
    """

    def __init__(self, behind: int) -> None:
        self.mode: Mode = "through"
        self._behind = behind
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    @contextlib.contextmanager
    def cut_at(
        self, number: int, mode: Mode, *functions: str
    ) -> Iterator[Callable[[], bool]]:
        """Change to `mode` at that call of obstore, counted from 0; at the end, back.

        Parameters
        ----------
        *functions : str
            What of obstore counts; whatever changes an object by default.

        Yields
        ------
        callable
            Whether it came to that call.
        """
        left = [number]

        def counted(call: Callable[..., Any]) -> Callable[..., Any]:
            @functools.wraps(call)
            def wrapped(*given: Any, **named: Any) -> Any:
                if not left[0]:
                    self.mode = mode
                left[0] -= 1
                return call(*given, **named)

            return wrapped

        with pytest.MonkeyPatch.context() as patch:
            for name in functions or CHANGES:
                patch.setattr(obstore, name, counted(getattr(obstore, name)))
            try:
                yield lambda: left[0] < 0
            finally:
                self.mode = "through"

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._pass, args=(client,), daemon=True).start()

    def _pass(self, client: socket.socket) -> None:
        asked = [b""]
        with (
            contextlib.suppress(OSError),
            client,
            socket.create_connection(("127.0.0.1", self._behind)) as server,
        ):
            back = threading.Thread(
                target=self._answer, args=(server, client, asked), daemon=True
            )
            back.start()
            while data := client.recv(2**16):
                if self.mode == "refuse":
                    break
                if self.mode == "error":
                    client.sendall(BUSY)
                    client.shutdown(socket.SHUT_WR)
                    # What is closed with something unread loses its answer.
                    while client.recv(2**16):
                        pass
                    break
                asked[0] = data if data.startswith(METHODS) else asked[0]
                if self.mode != "hang":
                    server.sendall(data)
            for end in (client, server):
                end.shutdown(socket.SHUT_RDWR)

    def _answer(
        self, server: socket.socket, client: socket.socket, asked: list[bytes]
    ) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(2**16):
                if self.mode == "lose" and asked[0].startswith(WRITES):
                    self.mode = "through"
                    break
                client.sendall(data)
            client.shutdown(socket.SHUT_RDWR)


@pytest.fixture(params=["s3", "azure"])
def outage(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Outage]:
    """What stands before the storage of this test, which is not waited for long."""
    server = request.getfixturevalue(f"{request.param}_server")
    make = {"s3": s3_bucket, "azure": azure_container}[request.param]
    url, environment = make(server)
    proxy = Outage(server)
    for name, value in {**environment, "ML_ASSETS_STORAGE": url}.items():
        if name.endswith(("_URL", "_ENDPOINT")):
            value = value.replace(f":{server}", f":{proxy.port}")
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(module, "RETRY_SECONDS", 2)
    monkeypatch.setattr(object_store, "REQUEST_SECONDS", 1.0)
    yield proxy
    proxy.close()
