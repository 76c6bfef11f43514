"""When to try again, and when to stop."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Retry:
    """Exponential back-off with jitter.

    Parameters
    ----------
    attempts : int, default=5
        How often something is tried in all.
    first : float, default=0.5
        Seconds before the second attempt; each further wait is twice as long.
    longest : float, default=30.0
        No wait is longer, in seconds; a server that asks for more is not waited for.
    clock, sleep, jitter : callable
        Monotonic seconds, how to wait, and a random number in [0, 1).

    Examples
    --------
    >>> calm = Retry(jitter=lambda: 1.0)
    >>> [calm.wait(failures) for failures in (1, 2, 3)]
    [0.5, 1.0, 2.0]
    """

    attempts: int = 5
    first: float = 0.5
    longest: float = 30.0
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    # Jitter spreads clients that failed together; nothing secret depends on it.
    jitter: Callable[[], float] = random.random  # nosec B311

    def wait(self, failures: int) -> float:
        """Seconds to wait after so many failures in a row, between half and all of
        the exponential figure."""
        exponential = self.first * 2.0 ** (failures - 1)
        return min(exponential, self.longest) * (0.5 + self.jitter() / 2)
