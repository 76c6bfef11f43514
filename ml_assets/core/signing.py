"""The key that signs ledgers: who lacks it can write the file, but no entry in it.

``ML_ASSETS_LEDGER_KEY`` holds it, or several with commas between: the first signs, and
what any of them signed is good, so that a key can be replaced. A signature is the
HMAC-SHA256 of what is signed.
"""

import hashlib
import hmac
import os
from collections.abc import Sequence

VARIABLE = "ML_ASSETS_LEDGER_KEY"
SHORTEST = 32


class SigningKeyError(ValueError):
    """A key that protects nothing."""


def keys() -> list[bytes]:
    """The keys that are configured; none where ledgers are not signed.

    Raises
    ------
    SigningKeyError
        If one is too short to protect anything. The message does not show it.
    """
    found = [part.strip() for part in os.environ.get(VARIABLE, "").split(",")]
    found = [part for part in found if part]
    for number, key in enumerate(found, start=1):
        if len(key) < SHORTEST:
            raise SigningKeyError(
                f"key {number} in {VARIABLE} has {len(key)} characters; it needs"
                f" {SHORTEST} or more, such as `openssl rand -hex 32` gives"
            )
    return [key.encode() for key in found]


def sign(text: str, known: Sequence[bytes]) -> str | None:
    """The signature of `text` by the first key; None without one."""
    return _signature(text, known[0]) if known else None


def is_signed(text: str, signature: str, known: Sequence[bytes]) -> bool:
    """Whether one of the keys made this signature of `text`.

    Examples
    --------
    >>> key = [b"k" * 32]
    >>> is_signed("entry", sign("entry", key), key)
    True
    >>> is_signed("another", sign("entry", key), key)
    False
    """
    given = signature.encode()
    made = (_signature(text, key).encode() for key in known)
    # Every key is tried, and each comparison takes its full time.
    return any([hmac.compare_digest(given, one) for one in made])


def _signature(text: str, key: bytes) -> str:
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
