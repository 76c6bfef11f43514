"""Runs the model server: one process, or a parent with several workers."""

import asyncio
import contextlib
import gc
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4
from wsgiref.simple_server import WSGIServer

import uvicorn

from ml_assets.core.storage import Storage
from ml_assets.core.tracing.sampling import is_traced
from ml_assets.serving import logs
from ml_assets.serving.http.app import ModelServer
from ml_assets.serving.http.fast_path import FastPathProtocol
from ml_assets.serving.http.guard import GuardedProtocol
from ml_assets.serving.http.header_cache import HeaderCache
from ml_assets.serving.http.served_state import ServedState
from ml_assets.serving.library.pool import LibraryPool
from ml_assets.serving.log.prediction_log import LogKeeper
from ml_assets.serving.logs import log
from ml_assets.serving.metrics.collector import Metrics
from ml_assets.serving.metrics.exposition import (
    WorkerSocket,
    process_metrics,
    serve_metrics,
)
from ml_assets.serving.models.ids import PredictionIds
from ml_assets.serving.models.plan_cache import PlanCache
from ml_assets.serving.models.published_plans import PublishedPlans
from ml_assets.serving.models.rendezvous import Rendezvous, ServerLease
from ml_assets.serving.models.shadow import ShadowQueue
from ml_assets.serving.process.admitting import admitting, require_keys
from ml_assets.serving.process.handoff_client import HandoffClient
from ml_assets.serving.process.model_loading import ModelLoading
from ml_assets.serving.process.plan_loader import PlanLoader
from ml_assets.serving.process.plan_reader import PlanReader
from ml_assets.serving.process.sockets import BACKLOG, cannot_listen, listen
from ml_assets.serving.process.supervisor import supervise
from ml_assets.serving.settings import ServerSettings

# Requests leave no cycles behind, so that collecting often is wasted time.
_GC_THRESHOLDS = (50_000, 50, 100)
# A reading of the plans that the storage does not answer ends after so long.
PATIENCE_SECONDS = 3.0


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


def serve(settings: ServerSettings) -> int:
    """Serve until SIGTERM or SIGINT; the exit code, 0 after a clean stop."""
    logs.configure()
    require_keys(settings)
    if settings.workers > 1:
        return supervise(settings)
    return serve_here(settings)


def serve_here(settings: ServerSettings, inherited: Inherited | None = None) -> int:
    """Serve in this process, which is one of several workers if it has `inherited`."""
    try:
        listener = (
            inherited.listener if inherited else listen(settings.host, settings.port)
        )
    except OSError as error:
        return cannot_listen(settings.host, settings.port, error)
    metrics = Metrics()
    metrics_port = settings.metrics_port
    exporter: WorkerSocket | WSGIServer
    try:
        if inherited is not None:
            exporter = WorkerSocket(metrics, inherited.metrics)
        else:
            collectors = [metrics, process_metrics()]
            exporter = serve_metrics(collectors, settings.host, metrics_port)
            metrics_port = exporter.server_port
    except OSError as error:
        listener.close()
        return cannot_listen(settings.host, metrics_port, error)
    # From here on clients wait in line instead of being turned away.
    listener.listen(BACKLOG)
    host, port = listener.getsockname()[:2]
    home = Path(settings.home)
    # Where whatever fetches bundles in this process keeps them.
    os.environ["ML_ASSETS_CACHE"] = settings.cache
    ids = PredictionIds()
    application, protocol = _application()
    app = application(settings, metrics, ids)
    with admitting(app), _registered(home) as name:
        logs = LogKeeper(settings, metrics, name)
        shadows = ShadowQueue(
            metrics, settings.max_shadow_rows, settings.max_shadow_bytes
        )
        library = LibraryPool(
            settings.library_processes,
            settings.answer_seconds,
            settings.library_bytes,
            metrics,
        )
        shadows.start()
        logs.start()
        # What was logged can be asked for before any plan is read.
        app.state = ServedState({}, frozenset(), False, metrics, logs)
        loader = PlanLoader(
            app,
            _reader(settings),
            ModelLoading(
                Storage(settings.storage),
                ids,
                settings.max_rows,
                logs,
                shadows,
                library,
            ),
            Rendezvous(home),
            name,
        )
        loader.start()
        log(
            "server started",
            server__address=host,
            server__port=port,
            metrics__port=metrics_port,
            storage=settings.storage,
        )
        gc.set_threshold(*_GC_THRESHOLDS)
        handoff_client = _handoff_client(settings, loader, name)
        _Server(app, protocol, inherited, handoff_client).run(sockets=[listener])
        loader.stop()
        # Before the lease ends: nobody adopts what is still being written.
        shadows.close()
        library.close()
        app.close()
        logs.close()
    exporter.shutdown()
    log("server stopped", server__port=port)
    return 0


def _reader(settings: ServerSettings) -> PlanReader:
    """Reads the plans, and asks the cache rather than wait for the storage."""
    storage = Storage(settings.storage, PATIENCE_SECONDS)
    cache = PlanCache(Path(settings.cache), storage.url)
    plans = PublishedPlans(storage)
    return PlanReader(plans, cache, settings.model, settings.generation)


def _handoff_client(
    settings: ServerSettings, loader: PlanLoader, name: str
) -> HandoffClient | None:
    """Accepts the connections of a hand-off, if one is configured."""
    if not settings.handoff:
        return None
    mark = Rendezvous(Path(settings.home)).handoff_mark(name)
    return HandoffClient(Path(settings.handoff), mark, loader.may_serve)


def _application() -> tuple[type[ModelServer], type[FastPathProtocol]]:
    """The server and its connections, with traces where a collector is named."""
    if not is_traced():
        return ModelServer, FastPathProtocol
    from ml_assets.serving.process.tracing import TracedProtocol, TracedServer

    return TracedServer, TracedProtocol


@contextlib.contextmanager
def _registered(home: Path) -> Iterator[str]:
    """Hold a lease under a fresh name, so that deployers wait for this server."""
    name = f"{socket.gethostname()}-{os.getpid()}-{uuid4().hex[:8]}"
    lease = ServerLease(home, name)
    Rendezvous(home).remove_dead_servers()
    try:
        yield name
    finally:
        lease.remove()


class _Server(uvicorn.Server):
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
                backlog=BACKLOG,
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
        await super().startup(sockets)
        if self._handoff_client is not None:
            self._handoff_client.open(self._protocol)

    def _protocol(self) -> asyncio.Protocol:
        """One connection that came through the hand-off."""
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
        for server in self.servers:
            server.close()
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
