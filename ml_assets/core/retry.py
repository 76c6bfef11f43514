"""Attempts that are repeated while a fault may pass, and polling, by tenacity."""

import math
import operator
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from tenacity import RetryCallState

T = TypeVar("T")


class PassingFault(Exception):
    """A fault that may pass.

    `retry_after` is how long the server asks to wait, in seconds; `attempts` is how
    many were made in all, where it is raised by `Retry.call`.
    """

    attempts = 1

    def __init__(self, message: str, retry_after: float = 0.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


@dataclass(frozen=True)
class Retry:
    """Exponential back-off with jitter.

    Parameters
    ----------
    attempts : int or None, default=5
        How often something is tried in all; with None only a deadline ends it.
    first : float, default=0.5
        Seconds before the second attempt; each further wait is twice as long, and each
        is shortened by up to a half at random.
    longest : float, default=30.0
        No wait is longer, in seconds, unless the server asks for more.
    clock, sleep, jitter : callable
        Monotonic seconds, how to wait, and a random number in [0, 1).
    """

    attempts: int | None = 5
    first: float = 0.5
    longest: float = 30.0
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    # Jitter spreads clients that failed together; nothing secret depends on it.
    jitter: Callable[[], float] = random.random  # nosec B311

    def call(
        self,
        attempt: Callable[[], T],
        fault: type[Exception] = PassingFault,
        deadline: float = math.inf,
    ) -> T:
        """The result of `attempt`, which is repeated while it raises a `fault`.

        The last fault is raised when all attempts are made, or when the next one could
        only begin at `deadline`, in seconds of the clock.

        Examples
        --------
        >>> waits, outcomes = [], [PassingFault("busy", retry_after=9.0), OSError(), 7]
        >>> def attempt():
        ...     outcome = outcomes.pop(0)
        ...     if isinstance(outcome, Exception):
        ...         raise outcome
        ...     return outcome
        >>> retry = Retry(sleep=waits.append, jitter=lambda: 1.0)
        >>> retry.call(attempt, Exception), waits
        (7, [9.0, 1.0])
        """
        # Imported where it is used: what only names a `Retry` loads in no time.
        from tenacity import Retrying, retry_if_exception_type, wait_exponential

        back_off = wait_exponential(multiplier=self.first, max=self.longest)

        def wait(state: "RetryCallState") -> float:
            asked: float = getattr(_fault(state), "retry_after", 0.0)
            return max(back_off(state) * (0.5 + self.jitter() / 2), asked)

        def stop(state: "RetryCallState") -> bool:
            is_last = state.attempt_number == self.attempts
            return is_last or self.clock() + state.upcoming_sleep >= deadline

        retrying = Retrying(
            retry=retry_if_exception_type(fault),
            wait=wait,
            stop=stop,
            sleep=self.sleep,
            retry_error_callback=_last,
        )
        return retrying(attempt)


def poll(condition: Callable[[], T], seconds: float, every: float) -> T:
    """What `condition` returns when it first is true, or after so many seconds.

    Examples
    --------
    >>> answers = ["", "", "ready"]
    >>> poll(lambda: answers.pop(0), seconds=5.0, every=0.001)
    'ready'
    >>> poll(lambda: "", seconds=0.0, every=0.001)
    ''
    """
    from tenacity import Retrying, retry_if_result, stop_after_delay, wait_fixed

    retrying = Retrying(
        retry=retry_if_result(operator.not_),
        wait=wait_fixed(every),
        stop=stop_after_delay(seconds),
        retry_error_callback=_last,
    )
    return retrying(condition)


def _fault(state: "RetryCallState") -> BaseException | None:
    return state.outcome.exception() if state.outcome else None


def _last(state: "RetryCallState") -> Any:
    """The outcome of the last attempt: its result, or the fault, which is raised."""
    fault = _fault(state)
    if isinstance(fault, PassingFault):
        fault.attempts = state.attempt_number
    return state.outcome.result() if state.outcome else None
