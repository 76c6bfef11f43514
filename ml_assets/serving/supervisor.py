"""The parent of several workers: starts them, restarts what crashes, stops them."""

import os
import signal
import subprocess  # nosec B404 # runs this interpreter with fixed arguments only
import sys
import tempfile
import threading
import time
from pathlib import Path

import msgspec

from ml_assets.serving.logs import log
from ml_assets.serving.metrics_port import Workers, serve_metrics
from ml_assets.serving.settings import ServerSettings
from ml_assets.serving.sockets import cannot_listen, listen

_POLL_SECONDS = 0.1
_FIRST_DELAY = 0.5
_LONGEST_DELAY = 30.0
# A worker that lived this long did not fail because of how it was started.
_HEALTHY_SECONDS = 60.0


class Worker:
    """One worker process, which is started again when it ends by itself."""

    def __init__(self, index: int, settings: ServerSettings, socket: Path) -> None:
        self.index = index
        self._socket = socket
        self.starts = 0
        self._settings = msgspec.structs.replace(settings, workers=1)
        self._delay = _FIRST_DELAY
        self._start_at = 0.0
        self._started = 0.0
        self._process: subprocess.Popen[bytes] | None = None

    def keep_alive(self) -> None:
        """Start the process if it does not run and its delay is over."""
        now = time.monotonic()
        if self._process is not None:
            code = self._process.poll()
            if code is None:
                return
            if now - self._started > _HEALTHY_SECONDS:
                self._delay = _FIRST_DELAY
            log("worker ended", worker=self.index, exit_code=code, delay=self._delay)
            self._process = None
            self._start_at = now + self._delay
            self._delay = min(2 * self._delay, _LONGEST_DELAY)
        if now >= self._start_at:
            self._started = now
            self.starts += 1
            self._process = subprocess.Popen(  # nosec B603 # fixed arguments
                [
                    sys.executable,
                    "-m",
                    "ml_assets.serving",
                    f"--metrics-socket={self._socket}",
                    *self._settings.arguments(),
                ]
            )

    def stop(self) -> None:
        """Ask the process to finish what is in flight."""
        if self._process is not None:
            self._process.terminate()

    def wait(self, timeout: float) -> int:
        """The exit code; a process that does not end in `timeout` seconds is killed."""
        if self._process is None:
            return 0
        try:
            return self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()


def supervise(settings: ServerSettings) -> int:
    """Run ``settings.workers`` processes on one port until SIGTERM or SIGINT."""
    try:
        # Not shared, so that a port in use is noticed, not shared with a stranger.
        listen(settings.host, settings.port, shared=False).close()
        # Bound and never listening: it holds the port while workers come and go.
        holder = listen(settings.host, settings.port, shared=True)
    except OSError as error:
        return cannot_listen(settings.host, settings.port, error)
    settings = msgspec.structs.replace(settings, port=holder.getsockname()[1])
    # Short, because the name of a socket may have 107 bytes, and ours alone.
    with holder, tempfile.TemporaryDirectory(prefix="ml-assets-") as sockets:
        return _supervise(settings, Path(sockets))


def _supervise(settings: ServerSettings, sockets: Path) -> int:
    paths = [sockets / str(index) for index in range(settings.workers)]
    starts = [0] * len(paths)
    told = Workers(paths, lambda: [max(number - 1, 0) for number in starts])
    try:
        exporter = serve_metrics([told], settings.host, settings.metrics_port)
    except OSError as error:
        return cannot_listen(settings.host, settings.metrics_port, error)
    settings = msgspec.structs.replace(settings, metrics_port=exporter.server_port)
    workers = [Worker(index, settings, path) for index, path in enumerate(paths)]
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    log("supervisor started", process__parent__pid=os.getpid(), workers=len(workers))
    while not stopping.is_set():
        for worker in workers:
            worker.keep_alive()
        starts[:] = [worker.starts for worker in workers]
        stopping.wait(_POLL_SECONDS)
    for worker in workers:
        worker.stop()
    patience = settings.drain_seconds + settings.shutdown_seconds + 5.0
    deadline = time.monotonic() + patience
    codes = [worker.wait(max(0.1, deadline - time.monotonic())) for worker in workers]
    exporter.shutdown()
    log("supervisor stopped", exit_codes=codes)
    return max(map(abs, codes))
