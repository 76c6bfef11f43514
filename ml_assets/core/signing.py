"""The keys by which plans and ledger entries are signed and verified.

Ed25519: who has the private key signs, and whoever has the public one can verify and
forge nothing. A key is named by the first digits of the SHA-256 of its public part.

``ML_ASSETS_SIGNING_KEY`` holds the private key: the text of a PEM (PKCS #8, without a
password), or the path of a file with it. ``ML_ASSETS_VERIFY_KEYS`` holds public keys in
the same way, one PEM block after the other, so that a key can be replaced.

``ML_ASSETS_LEDGER_KEY`` is of before: secrets with commas between, by which the entries
of old ledgers are verified (HMAC-SHA256). It signs where there is no other key.
"""

import base64
import binascii
import dataclasses
import hashlib
import hmac
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (
        Ed25519PrivateKey,
        Ed25519PublicKey,
    )

SIGNING = "ML_ASSETS_SIGNING_KEY"
VERIFY = "ML_ASSETS_VERIFY_KEYS"
SHARED = "ML_ASSETS_LEDGER_KEY"
SHORTEST = 32
_PREFIX = "ed25519"
_BLOCK = re.compile(r"-----BEGIN [A-Z ]+-----.*?-----END [A-Z ]+-----", re.DOTALL)


class SigningKeyError(ValueError):
    """A key that cannot be used, or is missing. The message never shows one."""


@dataclasses.dataclass(frozen=True)
class Keys:
    """What signs, and what verifies.

    Attributes
    ----------
    private : Ed25519PrivateKey or None
        Its public part verifies, too.
    public : mapping of str to Ed25519PublicKey
        By their names.
    shared : tuple of bytes
        Secrets of HMAC; the first signs where there is no private key.
    """

    private: "Ed25519PrivateKey | None" = None
    public: "Mapping[str, Ed25519PublicKey]" = dataclasses.field(default_factory=dict)
    shared: tuple[bytes, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.public or self.shared)

    def sign(self, text: str) -> str | None:
        """The signature of `text`; None without a key that signs.

        Returns
        -------
        str or None
            ``ed25519:<name of the key>:<base64>``, or the 64 digits of an HMAC.
        """
        if self.private is not None:
            made = base64.b64encode(self.private.sign(text.encode())).decode()
            return f"{_PREFIX}:{name_of(self.private.public_key())}:{made}"
        return _hmac(text, self.shared[0]) if self.shared else None

    def is_signed(self, text: str, signature: str) -> bool:
        """Whether one of the keys made this signature of `text`.

        Examples
        --------
        >>> keys = Keys(shared=(b"k" * 32,))
        >>> keys.is_signed("entry", keys.sign("entry"))
        True
        >>> keys.is_signed("another", keys.sign("entry"))
        False
        """
        if not is_public(signature):
            made = (_hmac(text, key).encode() for key in self.shared)
            # Every key is tried, and each comparison takes its full time.
            return any([hmac.compare_digest(signature.encode(), one) for one in made])
        from cryptography.exceptions import InvalidSignature

        _, name, value = [*signature.split(":", 2), "", ""][:3]
        try:
            self.public[name].verify(
                base64.b64decode(value, validate=True), text.encode()
            )
        except (KeyError, InvalidSignature, binascii.Error, ValueError):
            return False
        return True


def keys() -> Keys:
    """The keys that are configured; none where nothing is signed.

    Raises
    ------
    SigningKeyError
        If one is none, or too short to protect anything.
    """
    private, public = _private(), verify_keys()
    if private is not None:
        own = private.public_key()
        public = {**public, name_of(own): own}
    return Keys(private, public, _shared())


def verify_keys() -> "dict[str, Ed25519PublicKey]":
    """The public keys of ``ML_ASSETS_VERIFY_KEYS``, by their names.

    Raises
    ------
    SigningKeyError
        If the variable is set and holds something else.
    """
    from_pem = _pem(VERIFY)
    if from_pem is None:
        return {}
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    found = {}
    for block in _BLOCK.findall(from_pem):
        try:
            key = load_pem_public_key(block.encode())
        except ValueError as error:
            raise SigningKeyError(
                f"{VERIFY} holds something else than PEM blocks of public keys"
            ) from error
        if not isinstance(key, Ed25519PublicKey):
            raise SigningKeyError(f"{VERIFY} holds a key that is not of Ed25519")
        found[name_of(key)] = key
    if not found:
        raise SigningKeyError(f"{VERIFY} is set, and holds no public key")
    return found


def name_of(key: "Ed25519PublicKey") -> str:
    """The 16 hexadecimal digits by which signatures name a key."""
    return hashlib.sha256(key.public_bytes_raw()).hexdigest()[:16]


def is_public(signature: str) -> bool:
    """Whether it is a signature that a public key verifies, and not an HMAC."""
    return signature.startswith(f"{_PREFIX}:")


def _private() -> "Ed25519PrivateKey | None":
    text = _pem(SIGNING)
    if text is None:
        return None
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(text.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise SigningKeyError(
            f"{SIGNING} holds no private key: expected the PEM that `ml-assets keys"
            " new` writes, without a password"
        ) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise SigningKeyError(f"{SIGNING} holds a key that is not of Ed25519")
    return key


def _pem(variable: str) -> str | None:
    """The PEM text that a variable holds, or names the file of."""
    found = os.environ.get(variable, "").strip()
    if not found or "-----BEGIN" in found:
        return found or None
    try:
        return Path(found).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        # What is no PEM may be a part of one: it is not shown.
        raise SigningKeyError(
            f"{variable} holds neither the text of a PEM nor the path of a file with"
            f" one that can be read: {getattr(error, 'strerror', None) or 'no text'}"
        ) from error


def _shared() -> tuple[bytes, ...]:
    found = [part.strip() for part in os.environ.get(SHARED, "").split(",")]
    found = [part for part in found if part]
    for number, key in enumerate(found, start=1):
        if len(key) < SHORTEST:
            raise SigningKeyError(
                f"key {number} in {SHARED} has {len(key)} characters; it needs"
                f" {SHORTEST} or more, such as `openssl rand -hex 32` gives"
            )
    return tuple(key.encode() for key in found)


def _hmac(text: str, key: bytes) -> str:
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
