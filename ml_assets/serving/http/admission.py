"""Lets callers in: who they are, what they may ask, and how often."""

import math

from ml_assets.serving.access.callers import Caller, Callers, TokenBucket, Verdict
from ml_assets.serving.access.followed_keys import FollowedKeys
from ml_assets.serving.access.keys import UNKNOWN
from ml_assets.serving.http.served_state import PREDICTIONS, ServedState
from ml_assets.serving.metrics.collector import Metrics
from ml_assets.serving.requests.problems import Problem, forbidden

# What tells nothing of any model, and is asked by what has no key.
OPEN = frozenset(("/v2/health/live", "/v2/health/ready", "/ping", "/health"))
_MODELS = ("/models/", "/v2/models/")
_CHALLENGE = [(b"www-authenticate", b'Bearer realm="ml-assets"')]


class Admission:
    """Refuses whoever the file of keys does not name, and what it does not allow."""

    def __init__(self, keys: FollowedKeys, metrics: Metrics) -> None:
        self._keys = keys
        self._unknown = metrics.callers[UNKNOWN]
        self._state: ServedState | None = None
        self._views: dict[tuple[str, ...], ServedState] = {}

    def is_known(self, credential: bytes | None) -> bool:
        """Whether a request with this key, or None, is not refused for it."""
        return self._keys.callers.of(credential) is not None

    def admit(
        self, credential: bytes | None, right: str, model: str | None, now: float
    ) -> Caller:
        """Who sends this key, and may ask a route of this kind, of `model` if of one.

        `now` is the `time.perf_counter`.

        Raises
        ------
        Problem
            401, the same for a key or a token that is wrong, expired, revoked or
            missing; 403 if it does not allow this, whether there is such a model or
            not; 429 if its rate is used up.
        """
        caller = self._allowed(self._keys.callers, credential, right, model)
        if caller.bucket is not None:
            _take(caller, caller.bucket, now)
        return caller

    def admit_again(
        self, verdict: Verdict, credential: bytes | None, model: str | None, now: float
    ) -> Caller:
        """`admit` a prediction whose head came before, and has this `verdict`.

        A key is looked up anew once a second, or where the file, the model or the key's
        end says so; a token always is. The rate counts each time.
        """
        callers = self._keys.callers
        if (
            verdict.until > now
            and verdict.callers is callers
            and verdict.model == model
        ):
            caller = verdict.caller
        else:
            caller = self._allowed(callers, credential, "predict", model)
            verdict.callers, verdict.model, verdict.caller = callers, model, caller
            verdict.until = now + callers.seconds_of(credential, caller)
        if caller.bucket is not None:
            _take(caller, caller.bucket, now)
        return caller

    def _allowed(
        self, callers: Callers, credential: bytes | None, right: str, model: str | None
    ) -> Caller:
        caller = callers.of(credential)
        if caller is None:
            self._unknown[401] += 1
            detail = (
                "expected a valid API key or token, as Authorization: Bearer KEY or"
                " X-API-Key: KEY"
            )
            raise Problem(401, "unknown-caller", detail, headers=_CHALLENGE)
        if not caller.may(right, model):
            caller.statuses[403] += 1
            raise forbidden()
        return caller

    def view(self, state: ServedState, caller: Caller) -> ServedState:
        """The state as far as a caller sees its models: others are never named."""
        if state is not self._state:
            self._state, self._views = state, {}
        globs = caller.globs
        if globs not in self._views:
            self._views[globs] = state.limited(caller.sees)
        return self._views[globs]


def _take(caller: Caller, bucket: TokenBucket, now: float) -> None:
    """Count a request against the rate of its caller."""
    seconds = bucket.wait(now)
    if seconds:
        caller.statuses[429] += 1
        raise _too_often(seconds)


def _too_often(seconds: float) -> Problem:
    after = b"%d" % math.ceil(seconds)
    detail = "this caller asks more often than its key allows"
    return Problem(429, "too-many-requests", detail, headers=[(b"retry-after", after)])


def right_of(path: str) -> str:
    """The kind of route that a path is.

    Examples
    --------
    >>> [right_of(path) for path in ("/models/a/predict", "/models", "/feedback")]
    ['predict', 'metadata', 'feedback']
    """
    if path == "/feedback":
        return "feedback"
    if path.startswith(PREDICTIONS):
        return "lookup"
    if path == "/invocations" or path.endswith(("/predict", "/infer")):
        return "predict"
    return "metadata"


def model_in(path: str) -> str | None:
    """The model that a path names; None where it names none.

    Examples
    --------
    >>> model_in("/v2/models/churn/infer"), model_in("/models")
    ('churn', None)
    """
    for prefix in _MODELS:
        if path.startswith(prefix):
            return path.removeprefix(prefix).partition("/")[0]
    return None
