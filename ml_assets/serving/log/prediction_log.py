"""The prediction log: records on disk before the answer that they describe leaves.

Nothing here keeps an answer back. What cannot be written is counted and warned about,
and the next request tries again.
"""

import errno
import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TypeVar

from ml_assets.core.storage import Storage, StorageUnavailableError
from ml_assets.prediction_log import unshipped
from ml_assets.serving.log.segments import LABELS, Kept, SegmentWriter
from ml_assets.serving.log.shipping import adopt, directory_of, ship_all
from ml_assets.serving.logs import log, logger
from ml_assets.serving.metrics.collector import Metrics, Unshipped
from ml_assets.serving.settings import ServerSettings

__all__ = ["LogKeeper", "PredictionLog", "adopt"]

TICK_SECONDS = 0.5
# What is on this disk alone is reported so often where it changed, and where not.
REPORT_SECONDS, REPEAT_SECONDS = 5.0, 60.0
RETRY_SECONDS = 5.0
# A log that works again for so long has recovered; a disk at its brim comes and goes.
CALM_SECONDS = 5.0
T = TypeVar("T")


class PredictionLog:
    """The predictions of one model, and the labels that come back."""

    def __init__(
        self, model: str, directory: Path, settings: ServerSettings, metrics: Metrics
    ) -> None:
        limits = (settings.segment_bytes, settings.segment_seconds)
        self.model = model
        self.directory = directory
        self.predictions = SegmentWriter(directory, "", *limits)
        self.labels = SegmentWriter(directory, LABELS, *limits)
        self._metrics = metrics
        self._lock = threading.Lock()
        self._causes: set[str] = set()
        self._lost_at = 0.0

    def append(self, data: bytes, records: int) -> None:
        """Write records with one write; if that fails, count all of them as lost."""
        try:
            self.predictions.append(data, records)
        except OSError as error:
            self._lose(records, error)
            return
        if self._causes:
            self._recover()

    @property
    def has_segments(self) -> bool:
        """Whether there may be segments on this disk."""
        return self.predictions.has_segments or self.labels.has_segments

    def unshipped(self) -> list[Kept]:
        """Segments that are on this disk alone."""
        return [*self.predictions.unshipped(), *self.labels.unshipped()]

    def close_retired(self) -> list[OSError]:
        """Close the segments that have ended; why some are still open."""
        failures = []
        for kind, writer in (
            ("predictions", self.predictions),
            ("labels", self.labels),
        ):
            closed = writer.close_retired()
            failures += closed.failures
            if not closed.lost:
                continue
            if kind == "predictions":
                with self._lock:
                    self._count_lost(closed.lost)
            log(
                f"the disk has dropped logged {kind}",
                logging.ERROR,
                model=self.model,
                lost=closed.lost,
            )
        return failures

    def _count_lost(self, records: int) -> None:
        lost = self._metrics.lost
        lost[self.model] = lost.get(self.model, 0) + records

    def _lose(self, records: int, error: OSError) -> None:
        cause = errno.errorcode.get(error.errno or 0, type(error).__name__)
        with self._lock:
            self._count_lost(records)
            self._lost_at = time.monotonic()
            if cause in self._causes:
                return
            self._causes.add(cause)
        log(
            "predictions are answered and not logged",
            logging.WARNING,
            model=self.model,
            reason=f"{self.directory} cannot be written: {error.strerror}",
        )

    def _recover(self) -> None:
        with self._lock:
            if time.monotonic() - self._lost_at < CALM_SECONDS:
                return
            self._causes.clear()
            lost = self._metrics.lost.get(self.model, 0)
        log("predictions are logged again", model=self.model, lost=lost)


class LogKeeper:
    """The logs of all models of one server, and the thread that ships them.

    Parameters
    ----------
    settings
        Name the home directory, the storage, and when a segment ends.
    metrics
        Count what is lost.
    server
        Name of this server, which holds its lease.
    """

    def __init__(self, settings: ServerSettings, metrics: Metrics, server: str) -> None:
        self._settings = settings
        self._metrics = metrics
        self._server = server
        self.home = Path(settings.home)
        self.storage = Storage(settings.storage)
        self.models = (settings.model,) if settings.model else ()
        self._reported: dict[str, list[str]] = {}
        self._reported_at = -REPEAT_SECONDS
        self._logs: dict[str, PredictionLog] = {}
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._reason = ""
        self._is_adopted = False
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        metrics.unshipped = self.unshipped

    def log_of(self, model: str) -> PredictionLog:
        """The one log of `model` in this process."""
        with self._lock:
            if model not in self._logs:
                directory = directory_of(self.home, model, self._server)
                self._logs[model] = PredictionLog(
                    model, directory, self._settings, self._metrics
                )
            return self._logs[model]

    def unshipped(self) -> dict[str, Unshipped]:
        """What of each model's log is on this disk alone."""
        now = time.monotonic()
        found = {}
        for item in self._all():
            kept = item.unshipped()
            seconds = max((now - segment.begun for segment in kept), default=0.0)
            size = sum(segment.size for segment in kept)
            found[item.model] = Unshipped(seconds, size)
        return found

    def start(self) -> None:
        """Ship from now on, beginning with what dead servers left."""
        self._thread.start()

    def close(self) -> None:
        """End every segment and ship it; what cannot be shipped is adopted later.

        A storage that does not answer is waited for as long as requests are.
        """
        self._stop.set()
        if not self._thread.is_alive():
            return self._finish()
        self._thread.join(self._settings.shutdown_seconds)
        if self._thread.is_alive():
            text = "segments are kept here: the storage does not answer"
            log(text, logging.WARNING, storage=self.storage.url)

    def _run(self) -> None:
        while not self._stop.is_set():
            is_well = self._is_adopted or self._attempt(self._adopt)
            is_well &= self._attempt(self._ship)
            self._stop.wait(TICK_SECONDS if is_well else RETRY_SECONDS)
        self._finish()

    def _finish(self) -> None:
        for item in self._all():
            item.predictions.retire(at_once=True)
            item.labels.retire(at_once=True)
        self._reported_at = -REPEAT_SECONDS
        self._attempt(self._ship)
        for item in self._all():
            if item.directory.is_dir() and not any(item.directory.iterdir()):
                item.directory.rmdir()

    def _attempt(self, step: Callable[[], list[OSError]]) -> bool:
        """Whether `step` went well; if not, the reasons are logged once."""
        try:
            failures: Sequence[Exception] = step()
        except Exception as error:
            # The thread must outlive whatever the disks do.
            failures = [error]
        reason = "; ".join(dict.fromkeys(str(error) for error in failures))
        if failures:
            self._metrics.shipping_errors += 1
        if failures and reason != self._reason:
            logger.error("segments could not be shipped", exc_info=failures[0])
            log("segments are kept here", logging.WARNING, reason=reason)
        self._reason = reason
        return not failures

    def _adopt(self) -> list[OSError]:
        logs = self.home / "log"
        models = sorted(item.name for item in logs.iterdir()) if logs.is_dir() else []
        failures = self._each(models, self._adopt_model)
        unshipped.forget(self.storage)
        away = [item for item in failures if isinstance(item, StorageUnavailableError)]
        self._is_adopted = not away
        return failures

    def _adopt_model(self, model: str) -> list[OSError]:
        adopted = adopt(self.home, self.storage, model)
        for name in adopted.names:
            log("segment adopted", model=model, segment=name)
        return adopted.failures

    def _ship(self) -> list[OSError]:
        """Ship what has ended; of each model, the first reason why something waits."""
        failures = self._each(self._busy(), self._ship_model)
        try:
            self._report()
        except StorageUnavailableError as error:
            failures = failures or [error]
        return failures

    def _ship_model(self, item: PredictionLog) -> list[OSError]:
        item.predictions.retire()
        item.labels.retire()
        left = item.close_retired()
        names, waiting = ship_all(item.directory, self.storage)
        shipped = self._metrics.shipped
        shipped[item.model] = shipped.get(item.model, 0) + len(names)
        return (left + waiting)[:1]

    def _each(
        self, items: Iterable[T], step: Callable[[T], list[OSError]]
    ) -> list[OSError]:
        """The failures of a step, none of which keeps another item back.

        The storage may refuse what is of one model alone, so that the next is tried as
        well, but not by a server that stops. That it is unavailable is one failure.
        """
        failures: list[OSError] = []
        away: list[OSError] = []
        for item in items:
            try:
                failures += step(item)
            except StorageUnavailableError as error:
                away.append(error)
                if self._stop.is_set():
                    break
        return [*failures, *away[:1]]

    def _report(self) -> None:
        """Let the storage know what is on this disk alone, if that has changed."""
        now = time.monotonic()
        segments = {
            item.model: [f"{self._server}-{kept.name}" for kept in found]
            for item in self._busy()
            if (found := item.unshipped())
        }
        is_old = segments and now - self._reported_at >= REPEAT_SECONDS
        is_new = segments != self._reported
        if is_old or (is_new and now - self._reported_at >= REPORT_SECONDS):
            unshipped.report(self.storage, self._server, segments)
            self._reported, self._reported_at = segments, now

    def _busy(self) -> list[PredictionLog]:
        """The logs that have something to ship; of a thousand models at rest, none."""
        return [item for item in self._all() if item.has_segments]

    def _all(self) -> list[PredictionLog]:
        with self._lock:
            return list(self._logs.values())
