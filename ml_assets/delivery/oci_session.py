"""A session with one OCI registry: authorised, bounded in time and size, with retries.

The client is our own because `oras`, which was tried, sets no time-outs, compares no
digests, sends the password to a token server without TLS, and hangs for 131 seconds
where the password is wrong.
"""

import base64
import json
import os
import re
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple
from urllib.parse import urljoin, urlsplit

import requests

from ml_assets.core.retry import PassingFault, Retry
from ml_assets.core.transfer import retry_after
from ml_assets.delivery.errors import ReleaseError

TIMEOUT = (5.0, 15.0)
# Manifests and image configurations are a few kilobytes; the specification allows this.
LARGEST = 4 * 2**20
CHUNK = 2**16
PASSING = {408, 429, 500, 502, 503, 504}
# How long a token without a stated life is good, by the specification.
TOKEN_SECONDS = 60.0

_CUT = (requests.ConnectionError, requests.exceptions.ChunkedEncodingError)
_PARAMETER = re.compile(r'(\w+)\s*=\s*(?:"([^"]*)"|([^\s,"]+))')


class RegistryUnavailableError(ReleaseError):
    """The registry did not answer as it should; another time it may."""


class RegistryRefusedError(ReleaseError):
    """The registry will not give this, however often it is asked."""


class NotInRegistryError(RegistryRefusedError):
    """There is no such repository, tag or blob."""


class Credentials(NamedTuple):
    """Who we are to the registry; all empty for an anonymous reader."""

    username: str = ""
    password: str = ""
    token: str = ""

    @classmethod
    def from_environment(cls) -> "Credentials":
        """``REGISTRY_USERNAME`` and ``REGISTRY_PASSWORD``, or ``REGISTRY_TOKEN``."""
        names = ("REGISTRY_USERNAME", "REGISTRY_PASSWORD", "REGISTRY_TOKEN")
        return cls(*(os.environ.get(name, "").strip() for name in names))

    @property
    def basic(self) -> dict[str, str]:
        """The header with user and password; empty where there is no password."""
        if not self.password:
            return {}
        pair = f"{self.username}:{self.password}".encode()
        return {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}


class Answer(NamedTuple):
    """An answer of the registry; ``next_url`` is the next page, if there is one."""

    body: bytes
    headers: Mapping[str, str]
    next_url: str | None


class RegistrySession:
    """Sends requests to the registry at `base`, such as ``https://ghcr.io``.

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
        # Or requests would replace our token by a user of ~/.netrc.
        self._http.auth = lambda request: request
        self._authorization = _bearer(credentials.token)
        self._expires = float("inf")

    def get(self, path: str, accept: str = "application/json") -> Answer:
        """The answer to ``GET path``; `path` may be a whole URL of this registry.

        Raises
        ------
        RegistryUnavailableError
            If it failed so often, or so long, that we gave up.
        RegistryRefusedError
            If it answered that it will not, or `path` leads to another host.
        """
        url = self._own_url(path)
        try:
            return self.retry.call(
                lambda: self._authorised(url, accept), deadline=self._ends
            )
        except PassingFault as fault:
            raise RegistryUnavailableError(
                f"registry {self.base}: {fault} ({fault.attempts} attempt(s))"
            ) from fault

    def _own_url(self, path: str) -> str:
        """The whole URL; a Link header may not send our credentials to another host."""
        try:
            # As it will be requested: two parsers may see two hosts in one text.
            request = requests.Request("GET", urljoin(self.base, path)).prepare()
        except (requests.RequestException, ValueError) as error:
            raise RegistryRefusedError(f"registry {self.base}: {error}") from error
        url = str(request.url)
        if not self._is_own(url):
            raise RegistryRefusedError(
                f"registry {self.base}: it refers to {url}, which is not the same"
                " server and must not get its credentials"
            )
        return url

    def _is_own(self, url: str) -> bool:
        # The rule by which requests keeps the header in a redirect.
        strips: Callable[[str, str], bool] = self._http.should_strip_auth
        return not strips(self.base, url)

    def _authorised(self, url: str, accept: str) -> Answer:
        if self.retry.clock() > self._ends:
            raise PassingFault("the time for all requests is used up")
        if time.monotonic() > self._expires:
            self._authorization = {}
        # A digest is that of the plain bytes.
        headers = {"Accept": accept, "Accept-Encoding": "identity"}
        response, body = self._send(url, headers | self._authorization)
        # A server that the registry redirects to has no claim to the credentials.
        if response.status_code == 401 and self._is_own(response.url):
            self._authorise(response.headers.get("WWW-Authenticate", ""))
            response, body = self._send(url, headers | self._authorization)
        self._refuse(url, response, body)
        link = response.links.get("next", {}).get("url")
        return Answer(body, response.headers, urljoin(url, link) if link else None)

    def _authorise(self, header: str) -> None:
        """Get what a ``WWW-Authenticate`` header asks for."""
        scheme, wanted = parse_challenge(header)
        reason = self._why_unmet(scheme, wanted.get("realm", ""))
        if reason:
            raise RegistryRefusedError(f"registry {self.base}: {reason}")
        if scheme == "bearer":
            self._fetch_token(wanted)
        else:
            self._authorization = self.credentials.basic
            self._expires = float("inf")

    def _why_unmet(self, scheme: str, realm: str) -> str | None:
        """Why a challenge cannot be met, or None."""
        if scheme == "basic":
            known = bool(self.credentials.basic)
            return None if known else "set REGISTRY_USERNAME and REGISTRY_PASSWORD"
        if scheme != "bearer":
            return f"it asks for '{scheme}', expected Bearer or Basic"
        found = urlsplit(realm)
        if found.scheme not in ("http", "https") or not found.hostname:
            return "it asks for a token and names no address to get one from (realm)"
        # It would get our password in the clear.
        if found.scheme == "http" and urlsplit(self.base).scheme == "https":
            return f"it sends us to {found.hostname} for a token, and that without TLS"
        return None

    def _fetch_token(self, wanted: Mapping[str, str]) -> None:
        realm = wanted["realm"]
        query = {name: wanted[name] for name in ("service", "scope") if name in wanted}
        response, body = self._send(realm, self.credentials.basic, query)
        self._refuse(realm, response, body)
        token, life = token_of(_json(body))
        if not token:
            raise RegistryRefusedError(f"{realm} answered without a token")
        self._authorization = _bearer(token)
        # Renewed a little before its end, so that none expires on the way.
        self._expires = time.monotonic() + max(life - 5.0, 1.0)

    def _send(
        self, url: str, headers: Mapping[str, str], query: Any = None
    ) -> tuple[requests.Response, bytes]:
        try:
            with self._http.get(
                url, headers=headers, params=query, timeout=TIMEOUT, stream=True
            ) as response:
                return response, _read(response)
        except requests.Timeout:
            raise PassingFault("it did not answer in time") from None
        except _CUT as error:
            raise PassingFault(
                f"the connection failed ({type(error).__name__})"
            ) from error
        except requests.RequestException as error:
            raise RegistryRefusedError(f"{url}: {error}") from error

    def _refuse(self, url: str, response: requests.Response, body: bytes) -> None:
        status = response.status_code
        if status < 400:
            return
        text = f"{url} answered {status}{_message(body)}"
        if status in PASSING:
            raise PassingFault(text, retry_after(response.headers.get("Retry-After")))
        if status == 404:
            raise NotInRegistryError(text)
        if status in (401, 403):
            text += "; check REGISTRY_USERNAME and REGISTRY_PASSWORD, or REGISTRY_TOKEN"
        raise RegistryRefusedError(text)


def parse_challenge(header: str) -> tuple[str, dict[str, str]]:
    """The scheme of a ``WWW-Authenticate`` header in small letters, and its parameters.

    Examples
    --------
    >>> parse_challenge('Bearer realm="https://a.b/token",scope=pull')
    ('bearer', {'realm': 'https://a.b/token', 'scope': 'pull'})
    """
    scheme, _, rest = header.strip().partition(" ")
    found = _PARAMETER.findall(rest)
    return scheme.lower(), {name.lower(): text or word for name, text, word in found}


def token_of(answer: Any) -> tuple[str, float]:
    """The token in the answer of a token server, and its life in seconds.

    Examples
    --------
    >>> token_of({"access_token": "t", "expires_in": 300})
    ('t', 300.0)
    """
    if not isinstance(answer, dict):
        return "", 0.0
    token = answer.get("token") or answer.get("access_token")
    life = answer.get("expires_in")
    seconds = float(life) if isinstance(life, int | float) else TOKEN_SECONDS
    return (token if isinstance(token, str) else ""), seconds


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"} if token else {}


def _read(response: requests.Response) -> bytes:
    body = b""
    for chunk in response.iter_content(CHUNK):
        body += chunk
        if len(body) > LARGEST:
            raise RegistryRefusedError(
                f"{response.url}: more than {LARGEST:,} bytes, as no manifest has"
            )
    return body


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return None


def _message(body: bytes) -> str:
    """The registry's own words, in the shape that the specification gives errors."""
    found = _json(body)
    errors = found.get("errors") if isinstance(found, dict) else None
    listed = [item for item in errors or [] if isinstance(item, dict)]
    texts = [str(item.get("message") or item.get("code")) for item in listed]
    return f": {'; '.join(texts)}" if texts else ""
