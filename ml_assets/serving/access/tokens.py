"""Tokens of an identity provider: OAuth 2 and OpenID Connect, as signed JWT.

A token is verified by the public keys of its issuer (RFC 7519, RFC 8725), which are
fetched in the background: no request waits for the identity provider.
"""

import hashlib
import json
import logging
import time
from typing import Any, NamedTuple
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from joserfc.jwt import JWTClaimsRegistry

from ml_assets.serving.access.keys import Issuer, TokenGrant
from ml_assets.serving.logs import log

# Signatures that the holder of a public key cannot make.
ALGORITHMS = [
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "Ed25519", "EdDSA"),
]
_KEY_TYPES = ("RSA", "EC", "OKP")
# Clocks differ.
LEEWAY_SECONDS = 60
REFRESH_SECONDS = 300.0
# After a failure, and after a token that names a key that is not there.
RETRY_SECONDS = 10.0
_TIMEOUT_SECONDS = 10.0
_LONGEST_ANSWER = 2**20
# In characters; OpenID Connect allows 255.
_LONGEST_SUBJECT = 255


class Verified(NamedTuple):
    """Whose token it is, what it allows, and the Unix second of its end."""

    subject: str
    grants: tuple[TokenGrant, ...]
    expires_at: float


class TokenVerifier:
    """Verifies the tokens of one issuer by the keys that it publishes."""

    def __init__(self, issuer: Issuer) -> None:
        self.issuer = issuer
        self._keys: KeySet | None = None
        self._published: Any = None
        self._misses_key = False
        self._fault = ""
        self._refreshed = self._tried = float("-inf")
        self._claims = JWTClaimsRegistry(
            leeway=LEEWAY_SECONDS,
            iss={"essential": True, "value": issuer.issuer},
            aud={"essential": True, "value": issuer.audience},
            exp={"essential": True},
        )

    def verify(self, token: bytes) -> Verified | None:
        """What a token says, if it is of this issuer and valid now."""
        keys = self._keys
        if keys is None:
            return None
        try:
            # Not `jwt.decode`, which takes encrypted ones as well.
            signed = jws.deserialize_compact(token, keys, algorithms=ALGORITHMS)
            claims = json.loads(signed.payload)
            self._claims.validate(claims)
            expires_at = float(claims["exp"]) + LEEWAY_SECONDS
        except (JoseError, ValueError, TypeError, AttributeError, RecursionError):
            self._misses_key = self._misses_key or self._is_of_unknown_key(token)
            return None
        grants = self._granted(claims)
        if not grants:
            return None
        subject = claims.get("sub") or claims.get("azp") or claims.get("client_id")
        if not subject:
            # All such would be one caller, and each would reach what another asked for.
            return None
        return Verified(_bounded(str(subject)), grants, expires_at)

    def _granted(self, claims: dict[str, Any]) -> tuple[TokenGrant, ...]:
        found: Any = claims
        for name in self.issuer.claim.split("."):
            found = found.get(name) if isinstance(found, dict) else None
        values = found.split() if isinstance(found, str) else found
        if not isinstance(values, list):
            return ()
        return tuple(grant for grant in self.issuer.grants if grant.value in values)

    def _is_of_unknown_key(self, token: bytes) -> bool:
        """Whether the issuer may have a key by now that it had not when last asked."""
        try:
            kid = jws.extract_compact(token).headers().get("kid")
        except (JoseError, ValueError, TypeError, AttributeError, RecursionError):
            return False
        keys = self._keys
        return keys is not None and kid not in [key.kid for key in keys]

    def is_due(self, now: float) -> bool:
        """Whether the keys are to be fetched at `now`, a `time.monotonic`."""
        if now - self._tried < RETRY_SECONDS:
            return False
        return self._misses_key or now - self._refreshed >= REFRESH_SECONDS

    def refresh(self) -> bool:
        """Fetch the keys; whether they are others than before.

        What was there counts on if they cannot be had, which is logged once for each
        reason.
        """
        self._tried, self._misses_key = time.monotonic(), False
        try:
            url = self.issuer.jwks or self._discovered()
            published = [
                key
                for key in _fetch(url)["keys"]
                if key.get("kty") in _KEY_TYPES and key.get("use", "sig") == "sig"
            ]
            keys = KeySet.import_key_set({"keys": published})
        except (OSError, JoseError, ValueError, KeyError, TypeError) as error:
            reason = f"{type(error).__name__}: {error}"
            if reason != self._fault:
                self._fault = reason
                log(
                    "the keys of an issuer cannot be fetched",
                    logging.ERROR,
                    issuer=self.issuer.id,
                    reason=reason,
                )
            return False
        self._refreshed, self._fault = self._tried, ""
        if published == self._published:
            return False
        self._published, self._keys = published, keys
        log("keys of an issuer fetched", issuer=self.issuer.id, count=len(published))
        return True

    def _discovered(self) -> str:
        root = self.issuer.issuer.rstrip("/")
        found = _fetch(f"{root}/.well-known/openid-configuration")["jwks_uri"]
        if urlsplit(found).scheme != urlsplit(root).scheme:
            raise ValueError(f"jwks_uri is {found}, expected a URL as that of {root}")
        return str(found)


def _bounded(subject: str) -> str:
    """A subject as it is logged; by its digest where it is too long for a log.

    Examples
    --------
    >>> _bounded("ann"), len(_bounded("a" * 1000))
    ('ann', 71)
    """
    if len(subject) <= _LONGEST_SUBJECT:
        return subject
    return f"sha256:{hashlib.sha256(subject.encode()).hexdigest()}"


def _fetch(url: str) -> Any:
    asked = Request(url, headers={"accept": "application/json"})
    # The scheme was checked with the file.
    with urlopen(asked, timeout=_TIMEOUT_SECONDS) as answer:  # nosec B310
        found = answer.read(_LONGEST_ANSWER + 1)
    if len(found) > _LONGEST_ANSWER:
        raise ValueError(f"{url} gave more than {_LONGEST_ANSWER} bytes")
    return json.loads(found)
