"""Shadow arms: they score what was answered, off the answer's path, for the log alone.

One thread scores for all compiled arms. It keeps the interpreter for short whiles only,
and sleeps for as long afterwards. Each model whose shadow is not compiled has a thread
of its own, which waits for a process: see `ml_assets.serving.library`.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable
from time import perf_counter, sleep
from typing import NamedTuple

from msgspec.structs import replace

from ml_assets.serving.logs import log
from ml_assets.serving.metrics.collector import Metrics
from ml_assets.serving.models.arms import Scored, ServedArm
from ml_assets.serving.models.recorder import Origin, Recorder
from ml_assets.serving.requests.batch import Batch
from ml_assets.serving.requests.problems import Overloaded

_PAUSE_SECONDS = 0.001
_SLICE_SECONDS = 0.0002
_LONGEST_BREAK = 0.01
# What still waits when the server stops is scored within this time, or dropped.
_LAST_SECONDS = 1.0
# Of one value, as an object in a list.
_CELL_BYTES = 64


class Job(NamedTuple):
    """A batch for one shadow arm; `decoded` is the seconds until it could be scored.

    `body_bytes` is the length of the body that it came in.
    """

    arm: ServedArm
    batch: Batch
    origin: Origin
    decoded: float
    recorder: Recorder
    body_bytes: int = 0

    @property
    def bytes(self) -> int:
        """About what it keeps in memory."""
        cells = self.batch.size * len(self.arm.signature.columns)
        return self.body_bytes + _CELL_BYTES * cells


class ShadowQueue:
    """The batches that wait for shadow arms, and their threads.

    Parameters
    ----------
    metrics
        Count what the arms answer, and what is dropped.
    max_rows, max_bytes
        Rows that may wait for a thread, and about the bytes of them; a batch beyond is
        dropped.
    """

    def __init__(
        self, metrics: Metrics, max_rows: int, max_bytes: int = 64 * 2**20
    ) -> None:
        self._metrics = metrics
        self._max_rows = max_rows
        self._max_bytes = max_bytes
        self._lines: dict[str, _Line] = {}
        self._lock = threading.Lock()
        self._is_started = False
        self._failing: set[tuple[str, str, str]] = set()
        metrics.shadow_rows = self.waiting

    def start(self) -> None:
        """Score from now on."""
        with self._lock:
            self._is_started = True
            for line in self._lines.values():
                line.thread.start()

    def put(self, job: Job) -> None:
        """Have a batch scored later, or drop it where too much waits."""
        line = self._line(job.arm)
        with self._lock:
            rows, size = line.rows + job.batch.size, line.bytes + job.bytes
            if rows <= self._max_rows and size <= self._max_bytes:
                line.rows, line.bytes = rows, size
                line.jobs.append(job)
                line.some.set()
                return
        self._drop(job)

    def waiting(self) -> int:
        """How many rows wait."""
        return sum(line.rows for line in self._lines.copy().values())

    def close(self) -> None:
        """Score what waits, for a moment, and stop."""
        with self._lock:
            lines = [*self._lines.values()]
        deadline = perf_counter() + _LAST_SECONDS
        for line in lines:
            line.deadline = deadline
            line.stopping = True
            line.some.set()
        deadline += _LAST_SECONDS
        for line in lines:
            line.thread.join(max(0.0, deadline - perf_counter()))

    def _line(self, arm: ServedArm) -> "_Line":
        """Where the batches for an arm wait."""
        name = "" if arm.runtime.kind == "compiled" else arm.model
        with self._lock:
            line = self._lines.get(name)
            if line is None:
                line = self._lines[name] = _Line(self._run, name)
                if self._is_started:
                    line.thread.start()
            return line

    def _run(self, line: "_Line") -> None:
        while True:
            line.some.wait()
            line.some.clear()
            # The answers leave in the meantime.
            sleep(_PAUSE_SECONDS)
            busy = 0.0
            while line.jobs:
                job = line.jobs.popleft()
                with self._lock:
                    line.rows -= job.batch.size
                    line.bytes -= job.bytes
                if perf_counter() > line.deadline:
                    self._drop(job)
                    continue
                busy += self._score(job)
                if busy > _SLICE_SECONDS:
                    sleep(min(busy, _LONGEST_BREAK))
                    busy = 0.0
            if line.stopping:
                return

    def _score(self, job: Job) -> float:
        """Score one batch and log the answers; the seconds that it took."""
        arm, batch, origin = job.arm, job.batch, job.origin
        series = self._metrics.series("shadow", arm.model, arm.version, arm.mode)
        started = perf_counter()
        # As long as if this arm had answered: what came before is the same for all.
        since = started - job.decoded
        try:
            answers = arm.answers(batch)
        except Overloaded:
            # No fault of the version's.
            self._drop(job)
        except Exception as error:
            job.recorder.failed(arm, batch, origin, error, perf_counter() - since)
            series.observe(500, perf_counter() - since, 0)
            self._warn_once(arm, error)
        else:
            ids = list(origin.ids)
            scored = Scored(arm, origin.request_id, batch, ids, answers)
            job.recorder.keep(scored, replace(origin, received=since))
            series.observe(200, perf_counter() - since, batch.size)
        return perf_counter() - started

    def _warn_once(self, arm: ServedArm, error: Exception) -> None:
        """Warn of each kind of failure of a version once."""
        kind = (arm.model, arm.version, type(error).__name__)
        if kind not in self._failing:
            self._failing.add(kind)
            log(
                "a shadow failed",
                logging.WARNING,
                model=arm.model,
                version=arm.version,
                error__type=type(error).__name__,
            )

    def _drop(self, job: Job) -> None:
        with self._lock:
            dropped = self._metrics.shadow_dropped
            model = job.arm.model
            dropped[model] = dropped.get(model, 0) + job.batch.size


class _Line:
    """The batches that wait for one thread."""

    def __init__(self, run: Callable[["_Line"], None], model: str) -> None:
        self.jobs: deque[Job] = deque()
        self.rows = 0
        self.bytes = 0
        self.some = threading.Event()
        self.deadline = float("inf")
        self.stopping = False
        name = f"shadow-{model}" if model else "shadow"
        self.thread = threading.Thread(target=run, args=(self,), name=name, daemon=True)
