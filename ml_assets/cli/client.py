"""A small client of the model server, for the commands that talk to one."""

import http.client
import json
from types import TracebackType
from typing import Any, NamedTuple, cast
from urllib.parse import urlsplit

import click

from ml_assets.cli.output import Failed, reporting_errors
from ml_assets.core.api_key import SMOKE, credentials

TIMEOUT_SECONDS = 60.0


class Answer(NamedTuple):
    """Status and decoded JSON of an answer."""

    status: int
    value: Any


class ServerClient:
    """Talks to the model server at `url` over one connection.

    It sends the API key of ``ML_ASSETS_API_KEY``, if there is one.

    Raises
    ------
    click.UsageError
        If `url` is not an HTTP address.
    """

    def __init__(self, url: str, timeout: float = TIMEOUT_SECONDS) -> None:
        parts = urlsplit(url)
        kinds = {
            "http": http.client.HTTPConnection,
            "https": http.client.HTTPSConnection,
        }
        if parts.scheme not in kinds or not parts.hostname:
            raise click.UsageError(
                f"the server must be an address such as http://127.0.0.1:8080,"
                f" found '{url}'"
            )
        with reporting_errors(ValueError):
            self._credentials = credentials()
        self.url = url.rstrip("/")
        self._base = parts.path.rstrip("/")
        self._connection = kinds[parts.scheme](
            parts.hostname, parts.port, timeout=timeout
        )
        # Whether the connection stands since an answer.
        self._was_idle = False

    def __enter__(self) -> "ServerClient":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._connection.close()

    def _response(
        self, method: str, path: str, body: bytes | None, headers: dict[str, str]
    ) -> http.client.HTTPResponse:
        """The head of the answer; asked again where an idle connection was closed."""
        try:
            self._connection.request(method, self._base + path, body, headers)
            return cast(http.client.HTTPResponse, self._connection.getresponse())
        except (BrokenPipeError, ConnectionResetError, http.client.RemoteDisconnected):
            # A server closes what was idle for long, and has read nothing of this.
            if not self._was_idle:
                raise
            self._was_idle = False
            self._connection.close()
            return self._response(method, path, body, headers)

    def get(self, path: str) -> Answer:
        """GET `path`."""
        return self._ask("GET", path, None, {})

    def post(self, path: str, body: bytes, is_smoke: bool = False) -> Answer:
        """POST the JSON `body` to `path`; as a smoke request it is not logged."""
        return self._ask("POST", path, body, SMOKE if is_smoke else {})

    def _ask(
        self, method: str, path: str, body: bytes | None, more: dict[str, str]
    ) -> Answer:
        headers = self._credentials | more
        if body is not None:
            headers["content-type"] = "application/json"
        try:
            response = self._response(method, path, body, headers)
            answer = Answer(response.status, json.loads(response.read()))
            self._was_idle = True
            return answer
        except ValueError as error:
            raise Failed(f"{self.url}{path} did not answer with JSON") from error
        except (OSError, http.client.HTTPException) as error:
            reason = str(error) or type(error).__name__
            raise Failed(
                f"no model server answers at {self.url}: {reason};"
                " start one with `ml-assets serve`"
            ) from error
