"""Shadow arms: they score what was answered, off the answer's path, for the log alone.

One thread does it, beside the thread that answers. It keeps the interpreter for short
whiles only, and sleeps for as long afterwards.
"""

import logging
import threading
from collections import deque
from time import perf_counter, sleep
from typing import NamedTuple

from ml_assets.serving.logs import log
from ml_assets.serving.metrics.collector import Metrics
from ml_assets.serving.models.arms import Scored, ServedArm
from ml_assets.serving.models.recorder import Origin, Recorder
from ml_assets.serving.requests.batch import Batch

_PAUSE_SECONDS = 0.001
_SLICE_SECONDS = 0.0002
_LONGEST_BREAK = 0.01
# What still waits when the server stops is scored within this time, or dropped.
_LAST_SECONDS = 1.0


class Job(NamedTuple):
    """A batch for one shadow arm; `decoded` is the seconds until it could be scored."""

    arm: ServedArm
    batch: Batch
    origin: Origin
    decoded: float
    recorder: Recorder


class ShadowQueue:
    """The batches that wait for shadow arms, and their thread.

    Parameters
    ----------
    metrics
        Count what the arms answer, and what is dropped.
    max_rows
        Rows that may wait; a batch beyond is dropped.
    """

    def __init__(self, metrics: Metrics, max_rows: int) -> None:
        self._metrics = metrics
        self._max_rows = max_rows
        self._jobs: deque[Job] = deque()
        self._rows = 0
        self._lock = threading.Lock()
        self._some = threading.Event()
        self._deadline = float("inf")
        self._stopping = False
        self._failing: set[tuple[str, str, str]] = set()
        self._thread = threading.Thread(target=self._run, name="shadow", daemon=True)
        metrics.shadow_rows = self.waiting

    def start(self) -> None:
        """Score from now on."""
        self._thread.start()

    def put(self, job: Job) -> None:
        """Have a batch scored later, or drop it where too many rows wait."""
        with self._lock:
            if self._rows + job.batch.size <= self._max_rows:
                self._rows += job.batch.size
                self._jobs.append(job)
                self._some.set()
                return
        self._drop(job)

    def waiting(self) -> int:
        """How many rows wait."""
        return self._rows

    def close(self) -> None:
        """Score what waits, for a moment, and stop."""
        self._deadline = perf_counter() + _LAST_SECONDS
        self._stopping = True
        self._some.set()
        self._thread.join(2 * _LAST_SECONDS)

    def _run(self) -> None:
        while True:
            self._some.wait()
            self._some.clear()
            # The answers leave in the meantime.
            sleep(_PAUSE_SECONDS)
            busy = 0.0
            while self._jobs:
                job = self._jobs.popleft()
                with self._lock:
                    self._rows -= job.batch.size
                if perf_counter() > self._deadline:
                    self._drop(job)
                    continue
                busy += self._score(job)
                if busy > _SLICE_SECONDS:
                    sleep(min(busy, _LONGEST_BREAK))
                    busy = 0.0
            if self._stopping:
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
        except Exception as error:
            job.recorder.failed(arm, batch, origin, error, perf_counter() - since)
            series.observe(500, perf_counter() - since, 0)
            self._warn_once(arm, error)
        else:
            ids = list(origin.ids)
            scored = Scored(arm, origin.request_id, batch, ids, answers)
            job.recorder.keep(scored, origin._replace(received=since))
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
