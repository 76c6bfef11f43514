"""The port of the metrics: one, also of a server of several workers.

Each worker exposes its metrics at a Unix socket that only its supervisor knows; the
supervisor has the port, asks every worker, and sets the label ``worker``. Counters stay
those of one process: where they begin anew, Prometheus sees that by itself.
"""

import contextlib
import socket
import socketserver
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from wsgiref.simple_server import WSGIServer

import msgspec
from prometheus_client import CollectorRegistry, ProcessCollector, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from ml_assets.core.decoding import from_json

PATIENCE_SECONDS = 2.0
_CHUNK = 2**16


class Family(msgspec.Struct, array_like=True):
    """A metric family on its way from a worker to the supervisor."""

    name: str
    text: str
    type: str
    samples: list[tuple[str, dict[str, str], float]]


def serve_metrics(collectors: Sequence[Collector], host: str, port: int) -> WSGIServer:
    """Answer ``GET /metrics`` at `port` from a thread of its own.

    The families of the collectors must differ in name.

    Raises
    ------
    OSError
        If the port is in use.
    """
    registry = CollectorRegistry()
    for collector in collectors:
        registry.register(collector)
    server, _ = start_http_server(port, addr=host, registry=registry)
    return server


def process_metrics() -> Collector:
    """Memory, processor time and descriptors of this process."""
    return ProcessCollector(registry=None)


class WorkerSocket:
    """Exposes the metrics of this process at the Unix socket `path`."""

    def __init__(self, metrics: Collector, path: Path) -> None:
        own = process_metrics()

        class Handler(socketserver.BaseRequestHandler):
            """Sends everything to who connects."""

            def handle(self) -> None:
                """Send, unless the other side has left."""
                families = [_family(item) for item in _all(metrics, own)]
                with contextlib.suppress(OSError):
                    self.request.sendall(msgspec.json.encode(families))

        # A worker that was killed left it behind.
        path.unlink(missing_ok=True)
        self._server = socketserver.UnixStreamServer(str(path), Handler)
        self._thread = threading.Thread(
            target=self._server.serve_forever, name="metrics", daemon=True
        )
        self._thread.start()

    def shutdown(self) -> None:
        """Close the socket."""
        self._server.shutdown()
        self._server.server_close()


class Workers(Collector):
    """The metrics of several workers, and of this process without the label.

    Parameters
    ----------
    sockets
        The socket of each worker.
    restarts
        How often each was started again.
    """

    def __init__(
        self, sockets: Sequence[Path], restarts: Callable[[], Sequence[int]]
    ) -> None:
        self._sockets = sockets
        self._restarts = restarts
        self._own = process_metrics()

    def collect(self) -> Iterator[Metric]:
        """Ask every worker at once; one that does not answer is down."""
        up = GaugeMetricFamily(
            "ml_assets_worker_up", "1 if a worker sent its metrics.", labels=["worker"]
        )
        restarts = CounterMetricFamily(
            "ml_assets_worker_restarts",
            "Starts of a worker after its first.",
            labels=["worker"],
        )
        found = {metric.name: metric for metric in self._own.collect()}
        with ThreadPoolExecutor(len(self._sockets)) as threads:
            answers = list(threads.map(_ask, self._sockets))
        for number, (families, again) in enumerate(
            zip(answers, self._restarts(), strict=True)
        ):
            worker = str(number)
            up.add_metric([worker], float(families is not None))
            restarts.add_metric([worker], again)
            for family in families or []:
                metric = found.setdefault(
                    family.name, Metric(family.name, family.text, family.type)
                )
                for name, labels, value in family.samples:
                    metric.add_sample(name, {**labels, "worker": worker}, value)
        yield from (up, restarts, *found.values())

    def describe(self) -> Sequence[Metric]:
        """Nothing, so that no worker is asked before there is one."""
        return ()


def _all(metrics: Collector, own: Collector) -> Iterator[Metric]:
    yield from metrics.collect()
    yield from own.collect()


def _family(metric: Metric) -> Family:
    samples = [(item.name, dict(item.labels), item.value) for item in metric.samples]
    return Family(metric.name, metric.documentation, metric.type, samples)


def _ask(path: Path) -> list[Family] | None:
    """The metrics of a worker; None if it does not answer."""
    parts: list[bytes] = []
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(PATIENCE_SECONDS)
            connection.connect(str(path))
            while part := connection.recv(_CHUNK):
                parts.append(part)
        return from_json(b"".join(parts), list[Family])
    except (OSError, msgspec.DecodeError):
        # It is starting, ending or stuck: `ml_assets_worker_up` is 0.
        return None
