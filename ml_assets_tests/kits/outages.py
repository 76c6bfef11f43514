"""A store of objects that can be cut off: a proxy before it that misbehaves."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from typing import Literal

import pytest

from ml_assets.core import object_store
from ml_assets.core import storage as module
from ml_assets_tests.kits.buckets import azure_container, s3_bucket

Mode = Literal["through", "refuse", "hang", "lose"]


class Outage:
    """Passes connections on to a port of this machine, or does not.

    ``mode`` is for what comes next: ``refuse`` closes what is asked, ``hang`` answers
    nothing, and ``lose`` passes the next write on, keeps its reply, and is over.
    """

    def __init__(self, behind: int) -> None:
        self.mode: Mode = "through"
        self._behind = behind
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

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
                asked[0] = data if data[:4].isalpha() or data[3:4] == b" " else asked[0]
                if self.mode != "hang":
                    server.sendall(data)
            for end in (client, server):
                end.shutdown(socket.SHUT_RDWR)

    def _answer(
        self, server: socket.socket, client: socket.socket, asked: list[bytes]
    ) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(2**16):
                if self.mode == "lose" and asked[0].startswith(b"PUT "):
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
