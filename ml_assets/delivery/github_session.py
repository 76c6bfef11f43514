"""A session with GitHub's REST API: bounded in time and size, and within its limits.

GitHub counts requests. How many remain, and when they are renewed, is in the headers
``X-RateLimit-Remaining`` and ``X-RateLimit-Reset`` of each answer; ``Retry-After`` asks
for a pause. Nothing is sent before that moment: whoever asks comes back later.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlsplit

import msgspec
import requests

from ml_assets.core.decoding import from_builtins, from_json
from ml_assets.core.retry import PassingFault, Retry
from ml_assets.core.transfer import retry_after
from ml_assets.delivery.errors import ReleaseError

TIMEOUT = (5.0, 15.0)
VERSION = "2022-11-28"
# A page of a hundred runs is half a megabyte.
LARGEST_PAGE = 8 * 2**20
CHUNK = 2**16
PASSING = {408, 500, 502, 503, 504}
# Where GitHub asks for a pause and names none.
PAUSE_SECONDS = 60.0
T = TypeVar("T")


class GitHubError(ReleaseError):
    """GitHub does not answer, or refuses, and would do so whatever is asked for."""


class RateLimitedError(GitHubError):
    """GitHub wants no request before ``until``, in seconds since 1970."""

    def __init__(self, until: float) -> None:
        moment = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(until))
        super().__init__(f"GitHub's rate limit is used up until {moment} UTC")
        self.until = until


class NotGivenError(ReleaseError):
    """This one thing cannot be had: it is gone, too large or malformed."""


class Page(NamedTuple):
    """A page of an answer; ``content`` is None where it is that of the ETag sent."""

    content: bytes | None
    etag: str
    next_url: str | None


class GitHubSession:
    """Sends requests to the API at `api`, such as ``https://api.github.com``.

    Parameters
    ----------
    api : str
    token : str
        Sent to that server only; empty for an anonymous reader.
    not_before : float, default=0.0
        Seconds since 1970 before which nothing is sent, from an earlier session.
    retry : Retry, optional
        How often, and with which pauses, a failure that may pass is tried again.
    deadline : float, default=120.0
        Seconds after which no further attempt begins, over all requests.
    now : callable
        Seconds since 1970.
    """

    def __init__(
        self,
        api: str,
        token: str,
        not_before: float = 0.0,
        retry: Retry | None = None,
        deadline: float = 120.0,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.api, self.not_before = api.rstrip("/"), not_before
        self._retry = retry or Retry(attempts=3, longest=4.0)
        self._ends = self._retry.clock() + deadline
        self._now = now
        self._http = requests.Session()
        # Or requests would replace our token by a user of ~/.netrc.
        self._http.auth = lambda request: request
        self._headers = {"X-GitHub-Api-Version": VERSION}
        if token:
            self._headers["Authorization"] = f"Bearer {token}"

    def page(self, path: str, etag: str = "") -> Page:
        """The JSON at `path`, which may be the whole URL of a further page.

        Raises
        ------
        RateLimitedError
            If GitHub wants no request now; where that is known, none was sent.
        GitHubError
            If it did not answer, or refused us.
        NotGivenError
            If there is no such thing, or it is too large.
        """
        headers = {"Accept": "application/vnd.github+json"}
        if etag:
            headers["If-None-Match"] = etag
        response, body = self._get(path, headers, LARGEST_PAGE)
        if response.status_code == 304:
            return Page(None, etag, None)
        next_url = response.links.get("next", {}).get("url")
        return Page(body, response.headers.get("ETag", ""), next_url)

    def items(self, path: str, name: str, kind: type[T], most: int) -> list[T]:
        """The list `name` of all pages, up to `most` of its items; raises as `page`."""
        found: list[T] = []
        following: str | None = path
        while following and len(found) < most:
            page = self.page(following)
            found += listed(page.content or b"", name, kind)
            following = page.next_url
        return found[:most]

    def download(self, path: str, largest: int) -> bytes:
        """The bytes at `path`, at most `largest`; raises as `page`."""
        return self._get(path, {}, largest)[1]

    def _get(
        self, path: str, headers: Mapping[str, str], largest: int
    ) -> tuple[requests.Response, bytes]:
        url = path if "://" in path else f"{self.api}{path}"
        # The token is for this server, whatever a Link header says.
        if urlsplit(url)[:2] != urlsplit(self.api)[:2]:
            raise GitHubError(f"{self.api} refers to {url}, which is another server")
        try:
            return self._retry.call(
                lambda: self._send(url, headers, largest), deadline=self._ends
            )
        except PassingFault as fault:
            raise GitHubError(
                f"{self.api} is not available: {fault} ({fault.attempts} attempt(s))"
            ) from fault

    def _send(
        self, url: str, headers: Mapping[str, str], largest: int
    ) -> tuple[requests.Response, bytes]:
        if self._now() < self.not_before:
            raise RateLimitedError(self.not_before)
        if self._retry.clock() > self._ends:
            raise PassingFault("the time for all requests is used up")
        try:
            with self._http.get(
                url, headers={**self._headers, **headers}, timeout=TIMEOUT, stream=True
            ) as response:
                self._heed_limits(response)
                _refuse(response)
                return response, _read(response, largest)
        except requests.Timeout:
            raise PassingFault("it did not answer in time") from None
        except requests.RequestException as error:
            name = type(error).__name__
            raise PassingFault(f"the connection failed ({name})") from error

    def _heed_limits(self, response: requests.Response) -> None:
        """Note when the next request may be sent, and raise if this one came early."""
        # A download is redirected to a store that knows nothing of limits.
        headers = next((r.headers for r in response.history), response.headers)
        is_used_up = headers.get("X-RateLimit-Remaining") == "0"
        if is_used_up:
            self._wait_until(_number(headers.get("X-RateLimit-Reset")))
        if response.status_code not in (403, 429):
            return
        pause = retry_after(response.headers.get("Retry-After"))
        if pause or (response.status_code == 429 and not is_used_up):
            self._wait_until(self._now() + (pause or PAUSE_SECONDS))
        if pause or is_used_up or response.status_code == 429:
            # A clock that is ahead of GitHub's must not make us ask at once.
            self._wait_until(self._now() + 1.0)
            raise RateLimitedError(self.not_before)

    def _wait_until(self, moment: float) -> None:
        self.not_before = max(self.not_before, moment)


def listed(content: bytes, name: str, kind: type[T]) -> list[T]:
    """The list `name` of an answer.

    Raises
    ------
    NotGivenError
        If it has no such list, or an item is not as the API documents it.

    Examples
    --------
    >>> listed(b'{"total_count": 1, "sizes": [3]}', "sizes", int)
    [3]
    """
    try:
        found = from_json(content, dict[str, Any])[name]
        return from_builtins(found, list[kind])  # type: ignore[valid-type]
    except (msgspec.MsgspecError, KeyError) as error:
        raise NotGivenError(
            f"GitHub's answer has no list of {name}: {error}"
        ) from error


def _refuse(response: requests.Response) -> None:
    status = response.status_code
    if status < 400:
        return
    text = f"{response.url.partition('?')[0]} answered {status}"
    if status in PASSING:
        raise PassingFault(text, retry_after(response.headers.get("Retry-After")))
    if status in (404, 410):
        raise NotGivenError(text)
    if status in (401, 403):
        text += "; check ML_ASSETS_CI_TOKEN, which must be allowed to read actions"
    raise GitHubError(text)


def _read(response: requests.Response, largest: int) -> bytes:
    body = bytearray()
    for chunk in response.iter_content(CHUNK):
        body += chunk
        if len(body) > largest:
            address = response.url.partition("?")[0]
            raise NotGivenError(f"{address} has more than {largest:,} bytes")
    return bytes(body)


def _number(text: str | None) -> float:
    return float(text) if text and text.isdigit() else 0.0
