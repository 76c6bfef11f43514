"""Requests to the Kubernetes API, tried again while that can help."""

import time
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
import requests

from ml_assets.core.retry import Retry
from ml_assets.targets.clusters.connection import Connection
from ml_assets.targets.clusters.errors import ClusterError, ConflictError

# The server is busy, or something between us and it is: all of these pass.
PASSING = {429, 500, 502, 503, 504}
BACK_OFF = Retry(first=0.2, longest=5.0)
MERGE_PATCH = "application/merge-patch+json"


class Cluster:
    """Sends requests to one namespace of a cluster.

    Parameters
    ----------
    connection : Connection
    patience : float, default=300.0
        How long, in seconds, a server that does not answer is asked again.
    seconds : float, default=15.0
        How long one answer may take.
    """

    def __init__(
        self, connection: Connection, patience: float = 300.0, seconds: float = 15.0
    ) -> None:
        self.connection = connection
        self.patience = patience
        self.seconds = seconds
        self._session = requests.Session()
        # A header that is ours: a .netrc file would put another in its place.
        self._session.auth = self._authorize

    def get(self, path: str, **params: str) -> dict[str, Any]:
        """The object, or the list, at `path` below the API's root."""
        return self._answered("GET", path, params=params)

    def merge(
        self, path: str, patch: Mapping[str, Any], manager: str
    ) -> dict[str, Any]:
        """The object at `path` after a JSON merge patch.

        What it changes belongs to the field manager `manager` from then on: who applies
        another value is told so, by that name. The patch should name the
        ``resourceVersion`` that it was made for: then it is safe to send it again when
        an answer was lost.

        Raises
        ------
        ConflictError
            If the object has another ``resourceVersion`` by now.
        """
        params = {"fieldManager": manager}
        return self._answered("PATCH", path, params=params, body=patch)

    def watch(self, path: str, seconds: int, **params: str) -> Iterator[dict[str, Any]]:
        """Events of the list at `path`, for so many seconds; ends early when cut.

        Raises
        ------
        ClusterError
            If the server refuses to watch, with status 410 where it has forgotten the
            ``resourceVersion``.
        """
        params |= {"watch": "true", "timeoutSeconds": str(seconds)}
        try:
            # The server ends a watch; one that it forgot ends a little later here.
            answer = self._send("GET", path, params, None, seconds + self.seconds)
            with answer:
                if answer.status_code != 200:
                    raise _refusal("GET", path, answer)
                for line in answer.iter_lines():
                    if line:
                        yield _event(path, line)
        except (requests.RequestException, msgspec.DecodeError):
            return

    def _answered(
        self,
        method: str,
        path: str,
        params: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        deadline, failures = time.monotonic() + self.patience, 0
        while True:
            failures += 1
            try:
                with self._send(method, path, params, body, self.seconds) as answer:
                    if answer.ok:
                        found: dict[str, Any] = msgspec.json.decode(answer.content)
                        return found
                    problem = _refusal(method, path, answer)
                    wait = _asked_for(answer)
            except (requests.RequestException, msgspec.DecodeError) as error:
                problem = ClusterError(f"{method} {path}: no answer: {error}")
                wait = 0.0
            if problem.status is not None and problem.status not in PASSING:
                raise problem
            wait = max(wait, BACK_OFF.wait(failures))
            if time.monotonic() + wait > deadline:
                raise ClusterError(
                    f"{self.connection.server} did not serve us for"
                    f" {self.patience:g} s: {problem}",
                    problem.status,
                ) from problem
            time.sleep(wait)

    def _send(
        self,
        method: str,
        path: str,
        params: Mapping[str, str] | None,
        body: Mapping[str, Any] | None,
        seconds: float,
    ) -> requests.Response:
        return self._session.request(
            method,
            self.connection.server + path,
            params=params,
            data=None if body is None else msgspec.json.encode(body),
            headers={"Accept": "application/json"}
            | ({} if body is None else {"Content-Type": MERGE_PATCH}),
            # Connecting is quick or it does not work at all.
            timeout=(min(5.0, seconds), seconds),
            stream=True,
            allow_redirects=False,
            # Per request: a variable of the environment would win over the session's.
            verify=self.connection.ca or True,
        )

    def _authorize(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self.connection.token()}"
        return request


def _event(path: str, line: bytes) -> dict[str, Any]:
    event: dict[str, Any] = msgspec.json.decode(line)
    if event["type"] == "ERROR":
        status = event["object"]
        raise ClusterError(f"watch {path}: {status.get('message')}", status.get("code"))
    return event


def _refusal(method: str, path: str, answer: requests.Response) -> ClusterError:
    """The error that an answer tells of; the API says why in a `Status` object."""
    try:
        message = msgspec.json.decode(answer.content)["message"]
    except (requests.RequestException, msgspec.DecodeError, KeyError, TypeError):
        message = answer.reason
    kind = ConflictError if answer.status_code == 409 else ClusterError
    text = f"{method} {path}: {answer.status_code}: {message}"
    return kind(text, answer.status_code)


def _asked_for(answer: requests.Response) -> float:
    """Seconds that the server asks us to wait."""
    text = answer.headers.get("Retry-After", "")
    return float(text) if text.isdigit() else 0.0
