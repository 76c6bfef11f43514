"""Follows the file of API keys, so that a key is added or revoked without a restart."""

import logging
import threading
from pathlib import Path

from ml_assets.serving.access.callers import Callers, Counts
from ml_assets.serving.access.keys import UNKNOWN, KeyFileError, content, parse
from ml_assets.serving.logs import log

FOLLOW_SECONDS = 1.0
# Answers that say that a caller was not let in, or not now.
_REFUSALS = (401, 403, 429)


class FollowedKeys:
    """The callers of the file at `path`, which is read once a second.

    A file that cannot be used is logged, and the last good one counts on. Refusals are
    logged once a second for each caller and status, however many there were.

    Attributes
    ----------
    callers
        Those of the last good file.

    Raises
    ------
    KeyFileError
        If the file cannot be used at first.
    """

    def __init__(self, path: Path, counts: Counts) -> None:
        self._path = path
        self._counts = counts
        self._content = content(path)
        self._fault = ""
        self._reported: dict[tuple[str, int], int] = {}
        counts.setdefault(UNKNOWN, {})
        self.callers = Callers(parse(self._content, str(path)), counts)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="keys", daemon=True)

    def start(self) -> None:
        """Follow the file in a thread of its own."""
        self._thread.start()

    def stop(self) -> None:
        """Stop following, and log the last refusals."""
        self._stop.set()
        self._thread.join()
        self.report()

    def _run(self) -> None:
        while not self._stop.wait(FOLLOW_SECONDS):
            self.follow()
            self.report()

    def follow(self) -> None:
        """Take the file if it changed and can be used."""
        try:
            found = content(self._path)
            if found == self._content:
                self._fault = ""
                return
            callers = Callers(parse(found, str(self._path)), self._counts, self.callers)
        except KeyFileError as error:
            if str(error) != self._fault:
                self._fault = str(error)
                log(
                    "API keys are those of before: the file cannot be used",
                    logging.ERROR,
                    reason=self._fault,
                )
            return
        self._content, self._fault, self.callers = found, "", callers
        log("API keys changed", file=str(self._path))

    def report(self) -> None:
        """Log how many requests were refused since the last report."""
        for id_, statuses in list(self._counts.items()):
            for status in _REFUSALS:
                total = statuses.get(status, 0)
                new = total - self._reported.get((id_, status), 0)
                if new:
                    self._reported[id_, status] = total
                    log(
                        "callers were refused",
                        logging.WARNING,
                        user__id=id_,
                        http__response__status_code=status,
                        count=new,
                    )
