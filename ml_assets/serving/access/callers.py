"""The callers that a file of API keys names, found by the key that they send."""

import fnmatch
import hashlib
import hmac
import math
import os
import re
from collections.abc import MutableMapping
from functools import lru_cache
from time import time

from ml_assets.serving.access.keys import ANONYMOUS, ApiKey, Grant, KeyFile

# Compared with the secret of an id that no key has.
_NOBODY = os.urandom(32)
_REMEMBERED = 1024
# How many answers of each status a caller got, by its id.
Counts = MutableMapping[str, dict[int, int]]


class TokenBucket:
    """At most `rate` requests a second on average, and as many at once.

    Examples
    --------
    >>> bucket = TokenBucket(2.0)
    >>> [bucket.wait(at) for at in (0.0, 0.0, 0.0, 0.5)]
    [0.0, 0.0, 0.5, 0.0]
    """

    def __init__(self, rate: float) -> None:
        self.rate = rate
        self._size = max(rate, 1.0)
        self._tokens = self._size
        self._at = -math.inf

    def wait(self, now: float) -> float:
        """0 if there is a token at `now`, which is taken, else seconds until then."""
        tokens = self._tokens + (now - self._at) * self.rate
        if tokens > self._size:
            tokens = self._size
        self._at = now
        if tokens < 1.0:
            self._tokens = tokens
            return (1.0 - tokens) / self.rate
        self._tokens = tokens - 1.0
        return 0.0

    def give_back(self) -> None:
        """Put back the token that `wait` took last, and that was not used."""
        self._tokens += 1.0


class Caller:
    """Somebody whose key was verified, or who may ask without one.

    Parameters
    ----------
    id_
        As the log and the metrics name it.
    grant
        What it may ask.
    expires_at
        Unix seconds from which it is refused.
    statuses
        Where its answers are counted, by status.
    """

    def __init__(
        self, id_: str, grant: Grant, expires_at: float, statuses: dict[int, int]
    ) -> None:
        self.id = id_
        self.globs = grant.models
        self.expires_at = expires_at
        self.statuses = statuses
        self.bucket = TokenBucket(grant.rate) if grant.rate else None
        self._rights = frozenset(grant.routes)
        self._matches = re.compile("|".join(map(fnmatch.translate, grant.models))).match
        # Asked for each prediction, of the same few models.
        self.may = lru_cache(_REMEMBERED)(self._may)

    def sees(self, model: str) -> bool:
        """Whether it may ask anything of a model of this name."""
        return self._matches(model) is not None

    def _may(self, right: str, model: str | None) -> bool:
        """Whether it may ask a route of this kind, of `model` if it is of one."""
        if right not in self._rights and "admin" not in self._rights:
            return False
        return model is None or self.sees(model)

    def count(self, status: int) -> None:
        """Count an answer of this status."""
        self.statuses[status] = self.statuses.get(status, 0) + 1


class Callers:
    """The callers of one state of the file.

    Keys are compared in constant time, and one whose id is unknown costs as much as a
    wrong one. A key that was verified is remembered until the file changes.

    Parameters
    ----------
    file
        The keys.
    counts
        Where answers are counted.
    previous
        The callers of the state before, whose rates go on.
    """

    def __init__(
        self, file: KeyFile, counts: Counts, previous: "Callers | None" = None
    ) -> None:
        self._keys = {key.id.encode(): key for key in file.keys}
        self._callers = {
            key.id: Caller(key.id, key, key.expires_at, counts.setdefault(key.id, {}))
            for key in file.keys
        }
        self._anonymous = None
        if file.anonymous is not None:
            statuses = counts.setdefault(ANONYMOUS, {})
            self._anonymous = Caller(ANONYMOUS, file.anonymous, math.inf, statuses)
            self._callers[ANONYMOUS] = self._anonymous
        self._verified: dict[bytes | None, Caller] = {}
        if previous is not None:
            self._continue(previous)

    def of(self, credential: bytes | None) -> Caller | None:
        """Who sends this key, or none; None where nobody is to be answered so."""
        caller = self._verified.get(credential)
        if caller is None:
            caller = self._verify(credential)
            if caller is None:
                return None
            self._verified[credential] = caller
        return caller if time() < caller.expires_at else None

    def _verify(self, credential: bytes | None) -> Caller | None:
        if credential is None:
            return self._anonymous
        name, _, secret = credential.partition(b".")
        key: ApiKey | None = self._keys.get(name)
        expected = _NOBODY if key is None else bytes.fromhex(key.sha256)
        found = hashlib.sha256(secret).digest()
        if not hmac.compare_digest(found, expected) or key is None:
            return None
        return self._callers[key.id]

    def _continue(self, previous: "Callers") -> None:
        for id_, caller in self._callers.items():
            before = previous._callers.get(id_)
            if before is None or before.bucket is None or caller.bucket is None:
                continue
            if before.bucket.rate == caller.bucket.rate:
                caller.bucket = before.bucket
