"""What a registry asks for when it answers 401, and the token that satisfies it."""

import os
import re
from typing import Any, NamedTuple
from urllib.parse import urlsplit

# A token without a stated life is good for this long, says the specification.
TOKEN_SECONDS = 60.0

_PARAMETER = re.compile(r'(\w+)\s*=\s*(?:"([^"]*)"|([^\s,"]+))')


class Challenge(NamedTuple):
    """A ``WWW-Authenticate`` header: ``bearer`` or ``basic``, and its parameters."""

    scheme: str
    parameters: dict[str, str]


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
    def basic(self) -> tuple[str, str] | None:
        """User and password, where there are any."""
        return (self.username, self.password) if self.password else None


def parse_challenge(header: str) -> Challenge:
    """Take a ``WWW-Authenticate`` header apart.

    Examples
    --------
    >>> parse_challenge('Bearer realm="https://a.b/token",scope=pull').parameters
    {'realm': 'https://a.b/token', 'scope': 'pull'}
    """
    scheme, _, rest = header.strip().partition(" ")
    found = _PARAMETER.findall(rest)
    parameters = {name.lower(): quoted or plain for name, quoted, plain in found}
    return Challenge(scheme.lower(), parameters)


def refusal(challenge: Challenge, registry: str) -> str | None:
    """Why a challenge cannot be met, or None.

    A realm without TLS would get our password in the clear, so a registry that has TLS
    may not name one.
    """
    if challenge.scheme == "basic":
        return None
    if challenge.scheme != "bearer":
        return f"it asks for '{challenge.scheme}', expected Bearer or Basic"
    realm = urlsplit(challenge.parameters.get("realm", ""))
    if realm.scheme not in ("http", "https") or not realm.hostname:
        return "it asks for a token and names no address to get one from (realm)"
    if realm.scheme == "http" and urlsplit(registry).scheme == "https":
        return f"it sends us to {realm.hostname} for a token, and that without TLS"
    return None


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
