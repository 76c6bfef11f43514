"""Connections of a model server in this process, fed packet by packet."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from typing import Any

import uvicorn
from msgspec.structs import replace
from uvicorn.server import ServerState

from ml_assets.serving.http.fast_path import FastPathProtocol
from ml_assets.serving.http.header_cache import HeaderCache
from ml_assets.serving.http.routes import Route
from ml_assets.serving.requests.messages import Request, Response
from ml_assets_tests.kits.app import ROW, served, server

BODY = json.dumps({"rows": [ROW]}).encode()
RECORDS = json.dumps({"dataframe_records": [ROW]}).encode()
INFER = json.dumps(
    {
        "inputs": [
            {"name": name, "shape": [1], "datatype": kind, "data": [ROW[name]]}
            for name, kind in {
                "age": "FP64",
                "hours-per-week": "INT64",
                "married": "BOOL",
                "sex": "BYTES",
                "note": "BYTES",
            }.items()
        ]
    }
).encode()


class Transport(asyncio.Transport):
    """Keeps what is written; where it `ended`, no more comes."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.closed = self.ended = False
        self.is_read = True
        self.changed = asyncio.Event()

    def write(self, data: Any) -> None:
        assert not self.ended
        self.written += data
        self.changed.set()

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.ended = True
        self.changed.set()

    def close(self) -> None:
        self.closed = True
        self.write_eof()

    abort = close

    def is_closing(self) -> bool:
        return self.closed

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None:
        self.is_read = False

    def resume_reading(self) -> None:
        assert not self.closed
        self.is_read = True
        self.changed.set()

    def set_write_buffer_limits(self, *_: Any, **__: Any) -> None: ...


class Site:
    """A server for two models, whose connections share what connections share."""

    def __init__(self, **settings: Any) -> None:
        settings = {"max_body_bytes": 1_000_000, **settings}
        self.app = server(served("a"), served("b"), **settings)
        self.seen: list[tuple[str, str, bytes | None]] = []
        state = self.app.state
        state.routes = {
            path: self._recorded(path, r) for path, r in state.routes.items()
        }
        state.fast_routes = {
            path: self._recorded(path.decode(), route)
            for path, route in state.fast_routes.items()
        }
        self._protocol = type(
            "Protocol",
            (FastPathProtocol,),
            {
                "settings": self.app.settings,
                "server_app": self.app,
                "header_cache": HeaderCache(),
            },
        )
        self._config = uvicorn.Config(
            self.app, lifespan="off", log_config=None, http=self._protocol, ws="none"
        )
        self._config.load()
        self._state = ServerState()
        self.connections = self._state.connections

    def _recorded(self, path: str, route: Route) -> Route:
        def handler(request: Request) -> Response:
            self.seen.append((request.request_id, path, request.entity))
            return route.handler(request)

        return replace(route, handler=handler)

    def connect(self) -> "Connection":
        transport = Transport()
        protocol = self._protocol(  # type: ignore[call-arg]
            config=self._config, server_state=self._state, app_state={}
        )
        protocol.connection_made(transport)
        return Connection(protocol, transport)


class Connection:
    """A client that sends packets and takes the answers apart."""

    def __init__(self, protocol: FastPathProtocol, transport: Transport) -> None:
        self.protocol = protocol
        self.transport = transport

    async def send(self, *packets: bytes) -> None:
        for packet in packets:
            if packet and not self.transport.closed:
                self.protocol.data_received(packet)
            for _ in range(3):
                await asyncio.sleep(0)

    async def answers(self, count: int) -> list[tuple[int, dict[str, str], bytes]]:
        while True:
            found = list(parsed(self.transport.written))
            if len(found) >= count or self.transport.ended:
                return found
            self.transport.changed.clear()
            await asyncio.wait_for(self.transport.changed.wait(), 60)


def parsed(data: bytes):
    while data:
        head, separator, rest = data.partition(b"\r\n\r\n")
        if not separator:
            return
        status, *lines = head.decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines)
        length = int(headers.get("content-length", 0))
        if status.split()[1] == "100":
            data = rest
            continue
        yield int(status.split()[1]), headers, rest[:length]
        data = rest[length:]


def request(
    path: str,
    who: str,
    body: bytes | None = None,
    chunked: bool = False,
    extra: str = "",
) -> bytes:
    method = "GET" if body is None else "POST"
    head = f"{method} {path} HTTP/1.1\r\nHost: a\r\nX-Request-Id: {who}\r\n"
    head += f"X-Entity: {who}\r\n{extra}"
    if body is None:
        return head.encode() + b"\r\n"
    head += "Content-Type: application/json\r\n"
    if not chunked:
        return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
    parts = [body[:7], body[7:]]
    coded = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts if part)
    return f"{head}Transfer-Encoding: chunked\r\n\r\n".encode() + coded + b"0\r\n\r\n"


def run(scenario: Callable[[Site], Coroutine[Any, Any, None]], **settings: Any) -> None:
    async def main() -> None:
        await scenario(Site(**settings))

    asyncio.run(main())
