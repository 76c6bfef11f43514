"""The callers that the file names, found by the key or the token that they send."""

import fnmatch
import hashlib
import hmac
import math
import os
import re
from collections import defaultdict
from collections.abc import Callable, MutableMapping, Sequence
from functools import lru_cache
from time import time
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from ml_assets.serving.access.keys import ANONYMOUS, ApiKey, Grant, KeyFile

if TYPE_CHECKING:
    from ml_assets.serving.access.tokens import TokenVerifier

# Seconds that a time of day may be off by, as a float64.
_ROUNDING = 1e-6
# Compared with the secret of an id that no key has.
_NOBODY = os.urandom(32)
_REMEMBERED = 1024
# As often as the file is read, so that a clock that was set counts as soon as a file.
_VERDICT_SECONDS = 1.0
# Callers with tokens that are known at once, each for some kilobytes.
_MOST_TOKENS = 4096
# What a caller may do with the predictions that it asked for itself.
_OF_OWN = ("feedback", "lookup")
# How many answers of each status a caller got, and those of each by its id.
Statuses = defaultdict[int, int]
Counts = MutableMapping[str, Statuses]


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
        self._interval = 1.0 / rate
        # Seconds after which an empty bucket is full.
        self._size = max(rate, 1.0) / rate
        self._most = self._size + _ROUNDING
        self._full_at = -math.inf

    def wait(self, now: float) -> float:
        """0 if there is a token at `now`, which is taken, else seconds until then."""
        full_at = self._full_at
        if full_at < now:
            full_at = now
        full_at += self._interval
        seconds = full_at - now
        if seconds > self._most:
            return seconds - self._size
        self._full_at = full_at
        return 0.0

    def give_back(self) -> None:
        """Put back the token that `wait` took last, and that was not used."""
        self._full_at -= self._interval


class Caller:
    """Somebody whose key was verified, or who may ask without one.

    Parameters
    ----------
    id_
        As the log names it.
    grants
        What it may ask: what one of them allows, at the highest rate of all.
    expires_at
        Unix seconds from which it is refused.
    statuses
        Where its answers are counted, by status.
    """

    def __init__(
        self,
        id_: str,
        grants: Sequence[Grant],
        expires_at: float,
        statuses: Statuses,
    ) -> None:
        self.id = id_
        self.globs = tuple({glob: None for item in grants for glob in item.models})
        self.expires_at = expires_at
        self.statuses = statuses
        rates = [item.rate or math.inf for item in grants]
        self.bucket = TokenBucket(max(rates)) if max(rates) < math.inf else None
        self._allowed = [(frozenset(item.routes), _either(item)) for item in grants]
        # Asked for each prediction, of the same few models.
        self.may = lru_cache(_REMEMBERED)(self._may)

    def sees(self, model: str) -> bool:
        """Whether it may ask anything of a model of this name."""
        return any(matches(model) for _, matches in self._allowed)

    def _may(self, right: str, model: str | None) -> bool:
        """Whether it may ask a route of this kind, of `model` if it is of one.

        Whoever may predict may hand in labels and look up, of what it asked for itself;
        nobody knows which of the callers without a key asked.
        """
        if self.has(right, model):
            return True
        is_own = right in _OF_OWN and self.id != ANONYMOUS
        return is_own and self.has("predict", model)

    def has(self, right: str, model: str | None) -> bool:
        """Whether a grant names a kind of route, whoever asked for a prediction."""
        return any(
            (right in rights or "admin" in rights) and (model is None or matches(model))
            for rights, matches in self._allowed
        )


class Verdict:
    """Who sends a key with a request to predict, of a head that comes again.

    Attributes
    ----------
    callers, model
        Among whom, and of which model, it was looked up.
    caller
        Who it is, and may ask for predictions of that model.
    until
        The `time.perf_counter` at which it is looked up anew.
    """

    __slots__ = ("callers", "model", "caller", "until")

    callers: "Callers"
    model: str | None
    caller: Caller

    def __init__(self) -> None:
        self.until = -math.inf


def _either(grant: Grant) -> Callable[[str], object]:
    """Matches the names of models that one of the globs of a grant matches."""
    return re.compile("|".join(map(fnmatch.translate, grant.models))).match


class Callers:
    """The callers of one state of the file.

    Keys are compared in constant time, and one whose id is unknown costs as much as a
    wrong one. What was verified is remembered, a key until the file changes, and a
    token until it expires or its issuer has other keys.

    Parameters
    ----------
    file
        The keys.
    counts
        Where answers are counted: of a key by its id, of a token by that of its issuer.
    verifiers
        One for each issuer of the file.
    previous
        The callers of the state before, whose rates go on.
    """

    def __init__(
        self,
        file: KeyFile,
        counts: Counts,
        verifiers: "Sequence[TokenVerifier]" = (),
        previous: "Callers | None" = None,
    ) -> None:
        self._verifiers = verifiers
        self._issued = {
            item.issuer.id: counts.setdefault(item.issuer.id, Statuses(int))
            for item in verifiers
        }
        self._keys = {key.id.encode(): key for key in file.keys}
        self._callers = {
            key.id: Caller(
                *(key.id, [key], key.expires_at),
                counts.setdefault(key.id, Statuses(int)),
            )
            for key in file.keys
        }
        self._anonymous = None
        if file.anonymous is not None:
            statuses = counts.setdefault(ANONYMOUS, Statuses(int))
            self._anonymous = Caller(ANONYMOUS, [file.anonymous], math.inf, statuses)
            self._callers[ANONYMOUS] = self._anonymous
        self._verified: dict[bytes | None, Caller] = {}
        self._tokens: dict[bytes | None, Caller] = {}
        # Of those whose tokens are known, who have the same rate with their next one.
        self._buckets: WeakValueDictionary[str, TokenBucket] = WeakValueDictionary()
        if previous is not None:
            self._continue(previous)

    def of(self, credential: bytes | None) -> Caller | None:
        """Who sends this key, or none; None where nobody is to be answered so."""
        caller = self._verified.get(credential) or self._tokens.get(credential)
        if caller is None:
            caller = self._verify(credential)
            if caller is None:
                return None
        return caller if time() < caller.expires_at else None

    def seconds_of(self, credential: bytes | None, caller: Caller) -> float:
        """For how long a key that was found to be that of `caller` is; 0 of a token."""
        if credential not in self._verified:
            return 0.0
        return min(_VERDICT_SECONDS, caller.expires_at - time())

    def forget_tokens(self) -> None:
        """Verify each token anew: its key may be one that counts no more."""
        # What is verified meanwhile, by the keys of before, goes into the other one.
        self._tokens = {}

    def _verify(self, credential: bytes | None) -> Caller | None:
        if credential is None:
            caller = self._anonymous
        # The secret of a key has no dot.
        elif self._verifiers and credential.count(b".") == 2:
            return self._verify_token(credential)
        else:
            caller = self._verify_key(credential)
        if caller is not None:
            self._verified[credential] = caller
        return caller

    def _verify_token(self, token: bytes) -> Caller | None:
        tokens = self._tokens
        for verifier in self._verifiers:
            found = verifier.verify(token)
            if found is None:
                continue
            issuer = verifier.issuer.id
            id_ = f"{issuer}:{found.subject}"
            statuses = self._issued[issuer]
            caller = Caller(id_, found.grants, found.expires_at, statuses)
            if caller.bucket is not None:
                before = self._buckets.setdefault(id_, caller.bucket)
                if before.rate == caller.bucket.rate:
                    caller.bucket = before
            if len(tokens) >= _MOST_TOKENS:
                # Known for longest, it has the least time left as a rule.
                del tokens[next(iter(tokens))]
            tokens[token] = caller
            return caller
        return None

    def _verify_key(self, credential: bytes) -> Caller | None:
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
