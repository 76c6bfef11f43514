"""The file of callers: API keys, identity providers, and what each may ask.

A key is ``<id>.<secret>``. The file holds the SHA-256 of the secret, which has 256
random bits: whoever reads the file can ask for nothing.
"""

import datetime as dt
import hashlib
import re
import secrets
from pathlib import Path
from typing import Annotated, Literal, get_args
from urllib.parse import urlsplit

import msgspec

from ml_assets.core.decoding import from_json

Right = Literal["predict", "feedback", "lookup", "metadata", "smoke", "admin"]
RIGHTS: tuple[Right, ...] = get_args(Right)
ANONYMOUS, UNKNOWN = "anonymous", "unknown"
ID_PATTERN = "^[A-Za-z0-9_-]{1,64}$"
_SECRET_BYTES = 32
_LOOPBACK = ("localhost", "127.0.0.1", "::1")

Globs = Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
Rights = Annotated[tuple[Right, ...], msgspec.Meta(min_length=1)]
Rate = Annotated[float, msgspec.Meta(gt=0)]
Sha256 = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
Id = Annotated[str, msgspec.Meta(pattern=ID_PATTERN)]


class KeyFileError(ValueError):
    """The file of API keys cannot be used; the message names file, key and fault."""


class Grant(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    omit_defaults=True,
):
    """What somebody may ask.

    Attributes
    ----------
    models
        Globs of model names, of which one must match; ``*`` and ``?`` are wildcards.
    routes
        ``predict``, and labels and look-ups of the predictions that one asked for;
        ``feedback`` (labels) and ``lookup`` of those of all callers; ``metadata``
        (descriptions and schemas); ``smoke``, predictions that are not logged where
        the request says so; ``admin`` is all of them.
    rate
        Requests per second that one worker answers; None for no bound.
    """

    models: Globs
    routes: Rights
    rate: Rate | None = None


class ApiKey(Grant, frozen=True, kw_only=True):
    """A key that was given out.

    Attributes
    ----------
    id
        Whose it is, in the log and the metrics.
    sha256
        SHA-256 of the secret, as 64 hexadecimal digits.
    expires
        ISO 8601, UTC where it has no zone; from then on it is refused. Empty for never.
    """

    id: Id
    sha256: Sha256
    expires: str = ""

    @property
    def expires_at(self) -> float:
        """Unix seconds from which the key is refused; infinite for never.

        Raises
        ------
        ValueError
            If `expires` is no date and no time.
        """
        if not self.expires:
            return float("inf")
        moment = dt.datetime.fromisoformat(self.expires)
        return (moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)).timestamp()


class TokenGrant(Grant, frozen=True, kw_only=True):
    """What a token may ask whose claim has the value `value`."""

    value: Annotated[str, msgspec.Meta(min_length=1)]


class Issuer(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    omit_defaults=True,
):
    """An identity provider whose tokens are taken.

    Attributes
    ----------
    id
        As the metrics name all of its callers; the log adds the token's subject.
    issuer
        The claim ``iss`` of its tokens, and the URL below which its OpenID Connect
        configuration is found.
    audience
        Must be in the claim ``aud``.
    claim
        Path of the claim that says what a token may ask, such as ``scope`` or
        ``realm_access.roles``: a list, or a text of values between blanks.
    grants
        What each of its values allows; a token may ask what one of its own does.
    jwks
        URL of the public keys; by default the one of the OpenID Connect configuration.
    """

    id: Id
    issuer: Annotated[str, msgspec.Meta(pattern="^https?://")]
    audience: Annotated[str, msgspec.Meta(min_length=1)]
    grants: Annotated[tuple[TokenGrant, ...], msgspec.Meta(min_length=1)]
    claim: Annotated[str, msgspec.Meta(min_length=1)] = "scope"
    jwks: Annotated[str, msgspec.Meta(pattern="^(https?://.*)?$")] = ""


class KeyFile(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    omit_defaults=True,
):
    """All keys and issuers, and what is answered without either, if anything is."""

    keys: tuple[ApiKey, ...] = ()
    issuers: tuple[Issuer, ...] = ()
    anonymous: Grant | None = None


def parse(data: bytes, file: str) -> KeyFile:
    """The keys in the JSON `data`; `file` names it in errors.

    Raises
    ------
    KeyFileError
        If it is not JSON, or a key is not as expected, or two have the same id.

    Examples
    --------
    >>> parse(b'{"keys": [{"id": "web"}]}', "keys.json")
    Traceback (most recent call last):
    ...
    ml_assets.serving.access.keys.KeyFileError: keys.json: Object missing required \
field `models` - at `$.keys[0]`
    """
    try:
        found = from_json(data, KeyFile)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise KeyFileError(f"{file}: {error}") from None
    ids = [key.id for key in found.keys] + [item.id for item in found.issuers]
    _check_ids(ids, file)
    for key in found.keys:
        _check_expiry(key, file)
    for issuer in found.issuers:
        _check_transport(issuer, file)
    return found


def _check_ids(ids: list[str], file: str) -> None:
    for id_ in ids:
        if id_ in (ANONYMOUS, UNKNOWN):
            raise KeyFileError(
                f"{file}: a key has the id {id_}, expected another: this is what"
                " callers without a key, or with a wrong one, are counted as"
            )
        if ids.count(id_) > 1:
            raise KeyFileError(f"{file}: two keys have the id {id_}, expected one")


def _check_transport(issuer: Issuer, file: str) -> None:
    """Who can change the keys on their way can sign tokens."""
    for url in filter(None, (issuer.issuer, issuer.jwks)):
        parts = urlsplit(url)
        if parts.scheme != "https" and parts.hostname not in _LOOPBACK:
            raise KeyFileError(
                f"{file}: issuer {issuer.id}: expected a URL of https, found {url}"
            )


def _check_expiry(key: ApiKey, file: str) -> None:
    try:
        _ = key.expires_at
    except ValueError:
        raise KeyFileError(
            f"{file}: key {key.id}: expires is {key.expires!r}, expected a date or a"
            " time in ISO 8601, such as 2027-01-01"
        ) from None


def read(path: Path) -> KeyFile:
    """The keys in a file.

    Raises
    ------
    KeyFileError
        If it cannot be read, or is not as expected.
    """
    return parse(content(path), str(path))


def content(path: Path) -> bytes:
    """The bytes of a file of keys; `KeyFileError` if it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise KeyFileError(f"{path} cannot be read: {error.strerror}") from None


def new_key(id_: str) -> tuple[str, str]:
    """A new key for `id_`, and the SHA-256 of its secret.

    Raises
    ------
    ValueError
        If the id has other characters than letters, digits, ``-`` and ``_``, or more
        than 64.
    """
    if not re.fullmatch(ID_PATTERN, id_):
        raise ValueError(
            f"the caller is {id_!r}, expected 1 to 64 letters, digits, hyphens and"
            " underscores"
        )
    secret = secrets.token_urlsafe(_SECRET_BYTES)
    return f"{id_}.{secret}", hashlib.sha256(secret.encode()).hexdigest()
