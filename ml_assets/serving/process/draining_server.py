"""uvicorn's server with an end that loses no request, alone or as one of several."""

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import uvicorn

from ml_assets.serving.http.app import ModelServer
from ml_assets.serving.http.fast_path import FastPathProtocol
from ml_assets.serving.http.guard import GuardedProtocol
from ml_assets.serving.http.header_cache import HeaderCache
from ml_assets.serving.logs import log
from ml_assets.serving.process.accepting import close_behind_all, server_of
from ml_assets.serving.process.handoff_client import HandoffClient


class Inherited(NamedTuple):
    """What a worker has from its supervisor.

    Parameters
    ----------
    listener
        The socket that listens on the port for all workers: who waits in its queue
        waits for any of them, and not for one that may die.
    metrics
        Path of the Unix socket at which it exposes its metrics.
    heartbeat
        Descriptor to which its event loop writes, as long as it runs.
    """

    listener: socket.socket
    metrics: Path
    heartbeat: int


class DrainingServer(uvicorn.Server):
    """uvicorn's server, with a stop that loses no request.

    Parameters
    ----------
    app
        The application.
    protocol
        What a connection is.
    inherited
        What a worker has from its supervisor, without which it stops; None for others.
    handoff_client
        Accepts connections of a hand-off besides, or None.
    """

    def __init__(
        self,
        app: ModelServer,
        protocol: type[FastPathProtocol],
        inherited: Inherited | None,
        handoff_client: HandoffClient | None,
    ) -> None:
        settings = app.settings
        shared = {
            "settings": settings,
            "server_app": app,
            "header_cache": HeaderCache(),
        }
        protocol = type("Protocol", (protocol,), shared)
        super().__init__(
            uvicorn.Config(
                app,
                http=protocol,
                ws="none",
                loop="uvloop",
                lifespan="off",
                interface="asgi3",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                timeout_keep_alive=settings.keep_alive_seconds,
                timeout_graceful_shutdown=settings.shutdown_seconds,
            )
        )
        self._app = app
        self._parent = os.getppid()
        self._inherited = inherited
        self._handoff_client = handoff_client

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, also to the hand-off as soon as the plan is loaded."""
        # uvicorn makes servers that accept one connection a turn.
        await super().startup([])
        self._listeners = sockets or []
        for listener in self._listeners:
            self.servers.append(await server_of(listener, self._protocol))
        if self._handoff_client is not None:
            self._handoff_client.open(self._protocol)

    def _protocol(self) -> asyncio.Protocol:
        """One connection."""
        return self.config.http_protocol_class(  # type: ignore[call-arg]
            config=self.config,
            server_state=self.server_state,
            app_state=self.lifespan.state,
        )

    async def on_tick(self, counter: int) -> bool:
        """Every tenth of a second: the housekeeping of connections, and the end."""
        connections = self.server_state.connections
        self._app.metrics.connections = len(connections)
        if counter % 10 == 0:
            now = asyncio.get_running_loop().time()
            for connection in list(connections):
                if isinstance(connection, GuardedProtocol):
                    connection.expire(now)
            if self._inherited is not None:
                self._beat(self._inherited.heartbeat)
        return await super().on_tick(counter)

    def _beat(self, heartbeat: int) -> None:
        """Signal the supervisor that the event loop runs; without one, stop."""
        if os.getppid() != self._parent:
            self.should_exit = True
            return
        # A supervisor that does not read for a while has beats enough.
        with contextlib.suppress(BlockingIOError):
            os.write(heartbeat, b".")

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept no more, give open connections a last answer, then close them.

        A client whose request crosses the closing of an idle connection loses it.
        With "connection: close" on a last answer, busy clients leave by themselves.
        """
        log("server stopping")
        self._app.is_draining = True
        if self._handoff_client is not None:
            await self._handoff_client.leave()
        for server, listener in zip(self.servers, self._listeners, strict=True):
            await close_behind_all(server, listener, self._protocol)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._app.settings.drain_seconds
        while self.server_state.connections and loop.time() < deadline:
            await asyncio.sleep(0.02)
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take the signals; uvicorn would raise them again after a clean stop."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        yield
