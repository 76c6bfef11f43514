"""The parent of several workers: starts them, replaces what dies or hangs, stops."""

import os
import signal
import socket
import subprocess  # nosec B404 # runs this interpreter with fixed arguments only
import sys
import tempfile
import threading
import time
from pathlib import Path

import msgspec

from ml_assets.serving.logs import log
from ml_assets.serving.metrics.exposition import Workers, serve_metrics
from ml_assets.serving.process.sockets import (
    BACKLOG,
    cannot_listen,
    listen,
    socket_directory,
)
from ml_assets.serving.settings import ServerSettings

_POLL_SECONDS = 0.1
_FIRST_DELAY = 0.5
_LONGEST_DELAY = 30.0
# A worker that lived this long did not fail because of how it was started.
_HEALTHY_SECONDS = 60.0
# A start reads libraries from a disk, and plans from a storage, before its first beat.
_START_SECONDS = 120.0


class Worker:
    """One worker process, which is started again when it ends by itself, or hangs."""

    def __init__(
        self,
        index: int,
        settings: ServerSettings,
        listener: socket.socket,
        metrics: Path,
    ) -> None:
        self.index = index
        self._listener = listener
        self._metrics = metrics
        self._heartbeat_reader, self._heartbeat_writer = os.pipe()
        os.set_blocking(self._heartbeat_reader, False)
        os.set_blocking(self._heartbeat_writer, False)
        self.starts = 0
        self._settings = msgspec.structs.replace(settings, workers=1)
        self._delay = _FIRST_DELAY
        self._start_at = 0.0
        self._started = 0.0
        self._checked_at = 0.0
        self._patience = 0.0
        self._process: subprocess.Popen[bytes] | None = None

    def keep_alive(self) -> None:
        """Start the process if it does not run and its delay is over."""
        now = time.monotonic()
        if self._process is not None:
            code = self._process.poll()
            if code is None:
                self._replace_if_hung(now)
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
            self._checked_at = now
            self._patience = _START_SECONDS
            self._process = subprocess.Popen(  # nosec B603 # fixed arguments
                [
                    sys.executable,
                    "-m",
                    "ml_assets.serving",
                    "--inherit",
                    str(self._listener.fileno()),
                    str(self._heartbeat_writer),
                    str(self._metrics),
                    *self._settings.arguments(),
                ],
                pass_fds=(self._listener.fileno(), self._heartbeat_writer),
            )

    def _replace_if_hung(self, now: float) -> None:
        """Kill a process whose event loop does not run; it is started again.

        Only time counts in which we ran: a machine that was suspended stopped us too.
        """
        self._patience -= min(now - self._checked_at, 10 * _POLL_SECONDS)
        self._checked_at = now
        if _drained(self._heartbeat_reader):
            self._patience = max(self._settings.hang_seconds, 2.0)
        elif self._patience < 0 and self._process is not None:
            log("worker hangs", worker=self.index, seconds=self._settings.hang_seconds)
            self._process.kill()

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
        listener = listen(settings.host, settings.port)
        # One queue for all: what waits in it outlives any worker.
        listener.listen(BACKLOG)
    except OSError as error:
        return cannot_listen(settings.host, settings.port, error)
    settings = msgspec.structs.replace(settings, port=listener.getsockname()[1])
    # Short, because the name of a socket may have 107 bytes, and ours alone.
    with (
        listener,
        tempfile.TemporaryDirectory(
            prefix="ml-assets-", dir=socket_directory()
        ) as sockets,
    ):
        return _supervise(settings, listener, Path(sockets))


def _drained(pipe: int) -> bool:
    """Read all that is in a pipe; whether there was anything."""
    try:
        return bool(os.read(pipe, 65_536))
    except BlockingIOError:
        return False


def _supervise(settings: ServerSettings, listener: socket.socket, sockets: Path) -> int:
    paths = [sockets / str(index) for index in range(settings.workers)]
    starts = [0] * len(paths)
    collector = Workers(paths, lambda: [max(number - 1, 0) for number in starts])
    try:
        exporter = serve_metrics([collector], settings.host, settings.metrics_port)
    except OSError as error:
        return cannot_listen(settings.host, settings.metrics_port, error)
    settings = msgspec.structs.replace(settings, metrics_port=exporter.server_port)
    workers = [
        Worker(index, settings, listener, path) for index, path in enumerate(paths)
    ]
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    log("supervisor started", process__parent__pid=os.getpid(), workers=len(workers))
    while not stopping.is_set():
        for worker in workers:
            worker.keep_alive()
        starts[:] = [worker.starts for worker in workers]
        stopping.wait(_POLL_SECONDS)
    # Connections are refused from now on, at once.
    listener.close()
    for worker in workers:
        worker.stop()
    patience = settings.drain_seconds + settings.shutdown_seconds + 5.0
    deadline = time.monotonic() + patience
    codes = [worker.wait(max(0.1, deadline - time.monotonic())) for worker in workers]
    exporter.shutdown()
    log("supervisor stopped", exit_codes=codes)
    return max(map(abs, codes))
