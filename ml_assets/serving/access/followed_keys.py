"""Follows the file of callers, so that a key is added or revoked without a restart."""

import logging
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ml_assets.serving.access.callers import Callers, Counts, Statuses
from ml_assets.serving.access.keys import (
    UNKNOWN,
    Issuer,
    KeyFileError,
    content,
    parse,
)
from ml_assets.serving.logs import log

if TYPE_CHECKING:
    from ml_assets.serving.access.tokens import TokenVerifier

FOLLOW_SECONDS = 1.0
# Answers that say that a caller was not let in, or not now.
_REFUSALS = (401, 403, 429)


class FollowedKeys:
    """The callers of the file at `path`, which is read once a second.

    The keys of its issuers are fetched in a thread of their own: at the start, every
    five minutes, and where a token names one that is not there. A file that cannot be
    used is logged, and the last good one counts on. Refusals are logged once a second
    for each caller and status, however many there were.

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
        counts.setdefault(UNKNOWN, Statuses(int))
        self._verifiers: Sequence[TokenVerifier] = ()
        self.callers = self._callers_of(self._content)
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=run, name=name, daemon=True)
            for name, run in (("keys", self._run), ("issuers", self._run_issuers))
        ]

    def _callers_of(self, data: bytes, previous: Callers | None = None) -> Callers:
        file = parse(data, str(self._path))
        self._verifiers = _verifiers(file.issuers, self._verifiers)
        return Callers(file, self._counts, self._verifiers, previous)

    def start(self) -> None:
        """Follow the file and its issuers in threads of their own."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Stop following, and log the last refusals."""
        self._stop.set()
        self._threads[0].join()
        # The other may wait for an issuer, and changes nothing that outlives it.
        self.report()

    def _run_issuers(self) -> None:
        while not self._stop.is_set():
            self.refresh(time.monotonic())
            self._stop.wait(FOLLOW_SECONDS)

    def refresh(self, now: float) -> None:
        """Fetch the keys of each issuer that is due at `now`, a `time.monotonic`."""
        for verifier in self._verifiers:
            if verifier.is_due(now) and verifier.refresh():
                self.callers.forget_tokens()

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
            callers = self._callers_of(found, self.callers)
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


def _verifiers(
    issuers: Sequence[Issuer], before: "Sequence[TokenVerifier]"
) -> "Sequence[TokenVerifier]":
    """One for each issuer; the one of before, with its keys, where it is the same."""
    if not issuers:
        return ()
    from ml_assets.serving.access.tokens import TokenVerifier

    known = {item.issuer: item for item in before}
    return [known.get(issuer) or TokenVerifier(issuer) for issuer in issuers]
