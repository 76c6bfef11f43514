"""Runs the model server: one process, or a parent with several workers."""

import contextlib
import gc
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4
from wsgiref.simple_server import WSGIServer

from ml_assets.core.storage import Storage
from ml_assets.core.tracing.sampling import is_traced
from ml_assets.serving import logs
from ml_assets.serving.http.app import ModelServer
from ml_assets.serving.http.fast_path import FastPathProtocol
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
from ml_assets.serving.process.draining_server import DrainingServer, Inherited
from ml_assets.serving.process.handoff_client import HandoffClient
from ml_assets.serving.process.model_loading import ModelLoading
from ml_assets.serving.process.plan_loader import PlanLoader
from ml_assets.serving.process.plan_reader import PlanReader
from ml_assets.serving.process.sockets import BACKLOG, cannot_listen, listen
from ml_assets.serving.process.supervisor import supervise
from ml_assets.serving.settings import ServerSettings

# Requests leave no cycles behind, so that collecting often is wasted time.
_GC_THRESHOLDS = (50_000, 50, 100)
# The event loop waits so long for a thread that computes: no longer than an answer of
# the event loop's own takes, and 50 times less than usual.
_SWITCH_SECONDS = 0.0001
# A reading of the plans that the storage does not answer ends after so long.
PATIENCE_SECONDS = 3.0


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
        sys.setswitchinterval(_SWITCH_SECONDS)
        handoff_client = _handoff_client(settings, loader, name)
        DrainingServer(app, protocol, inherited, handoff_client).run(sockets=[listener])
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
    return PlanReader(plans, cache, settings.model, settings.pins())


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
