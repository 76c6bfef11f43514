"""One registry over HTTP: authorised, bounded in time and size, tried again."""

import base64
import json
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

import requests

from ml_assets.core.retry import PassingFault, Retry
from ml_assets.core.transfer import retry_after
from ml_assets.delivery.oci_auth import Credentials, parse_challenge, refusal, token_of
from ml_assets.delivery.refusals import ReleaseError

TIMEOUT = (5.0, 15.0)
# Manifests and image configurations are a few kilobytes; the specification allows this.
LARGEST = 4 * 2**20
CHUNK = 2**16
PASSING = {408, 429, 500, 502, 503, 504}


class RegistryUnavailableError(ReleaseError):
    """The registry did not answer as it should; another time it may."""


class RegistryRefusedError(ReleaseError):
    """The registry will not give this, however often it is asked."""


class NotInRegistryError(RegistryRefusedError):
    """There is no such repository, tag or blob."""


class Answer(NamedTuple):
    """An answer of the registry; ``next_url`` is the following page, if there is."""

    body: bytes
    headers: Mapping[str, str]
    next_url: str | None


class RegistrySession:
    """Asks the registry at `base`, such as ``https://ghcr.io``.

    Parameters
    ----------
    retry : Retry
        How often, and with which pauses, a failure that may pass is tried again.
    deadline : float
        Seconds after which no further attempt begins, over all requests.
    """

    def __init__(
        self,
        base: str,
        credentials: Credentials,
        retry: Retry | None = None,
        deadline: float = 45.0,
    ) -> None:
        self.base = base
        self.credentials = credentials
        self.retry = retry or Retry(attempts=4, longest=8.0)
        self._ends = self.retry.clock() + deadline
        self._http = requests.Session()
        # Or requests would put a user of ~/.netrc in place of our token.
        self._http.auth = _as_it_is
        self._authorization = _bearer(credentials.token)
        self._expires = float("inf")

    def get(self, path: str, accept: str = "application/json") -> Answer:
        """The answer to ``GET path``; `path` may be a whole URL of this registry.

        Raises
        ------
        RegistryUnavailableError
            If it failed so often, or so long, that we gave up.
        RegistryRefusedError
            If it answered that it will not.
        """
        url = path if path.startswith(f"{self.base}/") else self.base + path
        try:
            return self.retry.call(
                lambda: self._authorised(url, accept), deadline=self._ends
            )
        except PassingFault as fault:
            raise RegistryUnavailableError(
                f"registry {self.base}: {fault} ({fault.attempts} attempt(s))"
            ) from fault

    def _authorised(self, url: str, accept: str) -> Answer:
        if self.retry.clock() > self._ends:
            raise PassingFault("the time for all requests is used up")
        if time.monotonic() > self._expires:
            self._authorization = {}
        # A digest is that of the plain bytes.
        headers = {"Accept": accept, "Accept-Encoding": "identity"}
        response, body = self._send(url, headers | self._authorization)
        if response.status_code == 401:
            self._answer_challenge(response.headers.get("WWW-Authenticate", ""))
            response, body = self._send(url, headers | self._authorization)
        self._refuse(url, response, body)
        following = response.links.get("next", {}).get("url")
        return Answer(body, response.headers, following)

    def _answer_challenge(self, header: str) -> None:
        challenge = parse_challenge(header)
        reason = refusal(challenge, self.base)
        if reason:
            raise RegistryRefusedError(f"registry {self.base}: {reason}")
        if challenge.scheme == "basic":
            if self.credentials.basic is None:
                raise RegistryRefusedError(
                    f"registry {self.base} asks for a user and a password; set"
                    " REGISTRY_USERNAME and REGISTRY_PASSWORD"
                )
            user, password = self.credentials.basic
            self._authorization = {"Authorization": _basic(user, password)}
            self._expires = float("inf")
            return
        wanted = challenge.parameters
        names = ("service", "scope")
        query: dict[str, str] = {name: wanted[name] for name in names if name in wanted}
        self._fetch_token(wanted["realm"], query)

    def _fetch_token(self, realm: str, query: dict[str, str]) -> None:
        basic = self.credentials.basic
        headers = {"Authorization": _basic(*basic)} if basic else {}
        response, body = self._send(realm, headers, query)
        self._refuse(realm, response, body)
        token, life = token_of(_json(body))
        if not token:
            raise RegistryRefusedError(f"{realm} answered without a token")
        self._authorization = _bearer(token)
        # Asked for anew a little before its end, so that none expires on the way.
        self._expires = time.monotonic() + max(life - 5.0, 1.0)

    def _send(
        self, url: str, headers: Mapping[str, str], query: Any = None
    ) -> tuple[requests.Response, bytes]:
        try:
            with self._http.get(
                url, headers=headers, params=query, timeout=TIMEOUT, stream=True
            ) as response:
                return response, self._read(response)
        except requests.Timeout:
            raise PassingFault("it did not answer in time") from None
        except (
            requests.ConnectionError,
            requests.exceptions.ChunkedEncodingError,
        ) as error:
            raise PassingFault(
                f"the connection failed ({type(error).__name__})"
            ) from error
        except requests.RequestException as error:
            raise RegistryRefusedError(f"{url}: {error}") from error

    def _read(self, response: requests.Response) -> bytes:
        body = b""
        for chunk in response.iter_content(CHUNK):
            body += chunk
            if len(body) > LARGEST:
                raise RegistryRefusedError(
                    f"{response.url}: more than {LARGEST:,} bytes, as no manifest has"
                )
        return body

    def _refuse(self, url: str, response: requests.Response, body: bytes) -> None:
        status = response.status_code
        if status < 400:
            return
        text = f"{url} answered {status}{_told(body)}"
        if status in PASSING:
            wait = retry_after(response.headers.get("Retry-After"))
            raise PassingFault(text, wait)
        if status == 404:
            raise NotInRegistryError(text)
        if status in (401, 403):
            text += "; check REGISTRY_USERNAME and REGISTRY_PASSWORD, or REGISTRY_TOKEN"
        raise RegistryRefusedError(text)


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"} if token else {}


def _basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def _as_it_is(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return None


def _told(body: bytes) -> str:
    """The registry's own words, in the shape that the specification gives errors."""
    found = _json(body)
    errors = found.get("errors") if isinstance(found, dict) else None
    messages = [
        str(item.get("message") or item.get("code"))
        for item in errors or []
        if isinstance(item, dict)
    ]
    return f": {'; '.join(messages)}" if messages else ""
