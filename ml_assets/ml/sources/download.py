"""Bring a file over HTTP into the cache: resumed, retried, complete or not at all.

The bytes gather in ``<file>.part``. A process that is killed leaves that file, and the
next one goes on where it ended, if the server confirms that the file is still the same.
"""

import contextlib
import logging
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ml_assets.core import transfer
from ml_assets.core.files import locked, sync_directory, write_json
from ml_assets.core.retry import PassingFault, Retry
from ml_assets.ml.tables import SourceError

if TYPE_CHECKING:
    import requests

_BUSY = (408, 429, 500, 502, 503, 504)
_UNFIT_RANGE = 416
_NOT_MODIFIED = 304
# Seconds in which a connection must open, and must yield a byte.
_CONNECT, _SILENCE = 10.0, 30.0


@dataclass(frozen=True)
class Download:
    """One file to fetch.

    Attributes
    ----------
    name : str
        What errors call it; holds no secret, unlike `url` and `auth`.
    timeout : float
        Seconds for everything, waits included.
    advice : dict of int to str
        HTTP status to the remedy in its error.
    """

    name: str
    url: str = field(repr=False)
    timeout: float
    retry: Retry = field(default_factory=Retry)
    auth: tuple[str, str] | None = field(default=None, repr=False)
    advice: dict[int, str] = field(default_factory=dict)

    def to(self, target: Path) -> None:
        """Make `target` the file's present content.

        Nothing is sent again if the server confirms that `target` is still current.

        Raises
        ------
        SourceError
            The server refused, or the file did not arrive in time.
        """
        from ml_assets.ml.sources.redirects import session_of

        with (
            locked(_beside(target, ".lock")),
            session_of(self.name, self.url) as session,
            _quiet(),
        ):
            deadline = self.retry.clock() + self.timeout
            try:
                self.retry.call(
                    lambda: self._attempt(session, target, deadline), deadline=deadline
                )
            except PassingFault as fault:
                if fault.attempts == self.retry.attempts:
                    advice = f" ({fault.attempts} attempts); try later"
                else:
                    advice = (
                        f", and the time-out of {self.timeout:g} s is used up; raise"
                        " timeout_seconds or try later"
                    )
                raise SourceError(f"{self.name}: {fault}{advice}") from None

    def _attempt(
        self, session: "requests.Session", target: Path, deadline: float
    ) -> None:
        """Fetch it once; raise `PassingFault` where another attempt may succeed."""
        import requests

        left = max(deadline - self.retry.clock(), 0.001)
        try:
            with session.get(
                self.url,
                auth=self.auth,
                headers=transfer.conditions(target, _beside(target, ".part")),
                stream=True,
                timeout=(min(_CONNECT, left), min(_SILENCE, left)),
            ) as response:
                return self._receive(response, target, deadline)
        except requests.Timeout:
            raise PassingFault("the server did not answer") from None
        except requests.ConnectionError:
            raise PassingFault("the connection failed") from None
        except requests.RequestException as error:
            # The message may hold the address, and with it a secret.
            fault = f"no usable HTTP address ({type(error).__name__})"
        except OSError as error:
            fault = f"cannot be written to {target.parent}: {error.strerror}"
        raise SourceError(f"{self.name}: {fault}")

    def _receive(
        self, response: "requests.Response", target: Path, deadline: float
    ) -> None:
        part = _beside(target, ".part")
        status = response.status_code
        if status == _NOT_MODIFIED:
            return
        if status == _UNFIT_RANGE:
            part.unlink(missing_ok=True)
            raise PassingFault("the server no longer has the part that was asked for")
        if status in _BUSY:
            asked = transfer.retry_after(response.headers.get("Retry-After"))
            reason = f"the server answered {_title(response)}"
            self._refuse_long_wait(reason, asked, deadline)
            raise PassingFault(reason, asked)
        if not response.ok:
            raise SourceError(f"{self.name}: {self._refusal(response)}")
        if fault := transfer.unlike_data(response.headers):
            raise SourceError(f"{self.name}: {fault}")
        transfer.save(response, part, deadline, self.retry.clock)
        _complete(response, part, target)

    def _refusal(self, response: "requests.Response") -> str:
        advice = self.advice.get(response.status_code, "check the address")
        return f"the server answered {_title(response)}; {advice}"

    def _refuse_long_wait(self, reason: str, asked: float, deadline: float) -> None:
        left = deadline - self.retry.clock()
        if asked > min(self.retry.longest, max(left, 0.0)):
            raise SourceError(
                f"{self.name}: {reason} and asks to wait {asked:,.0f} s;"
                " run again after that"
            )


def _title(response: "requests.Response") -> str:
    from http import HTTPStatus

    status = response.status_code
    known = {item.value: item.phrase for item in HTTPStatus}
    return f"{status} {known[status]}" if status in known else str(status)


def _beside(target: Path, suffix: str) -> Path:
    return target.with_name(target.name + suffix)


def _complete(response: "requests.Response", part: Path, target: Path) -> None:
    with part.open("rb") as stream:
        os.fsync(stream.fileno())
    # The note goes first: an old note beside a new file would pass it for current.
    note = transfer.note_of(target)
    note.unlink(missing_ok=True)
    os.replace(part, target)
    sync_directory(target.parent)
    transfer.note_of(part).unlink(missing_ok=True)
    if validators := transfer.validators(response.headers):
        write_json(note, validators)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the addresses of this thread's requests out of urllib3's debug log: those
    that a server redirects to are signed, and so are credentials."""
    logger = logging.getLogger("urllib3.connectionpool")
    thread = threading.get_ident()

    def foreign(record: logging.LogRecord) -> bool:
        return record.thread != thread

    logger.addFilter(foreign)
    try:
        yield
    finally:
        logger.removeFilter(foreign)
