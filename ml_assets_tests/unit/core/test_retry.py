"""When an attempt is repeated, how long is waited, and when it is given up."""

from collections.abc import Callable
from typing import Any

import pytest

from ml_assets.core.retry import PassingFault, Retry, poll


class Clock:
    """Time that passes only by waiting."""

    def __init__(self) -> None:
        self.now = 100.0
        self.waits: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds

    def retry(self, **options: Any) -> Retry:
        jitter: Callable[[], float] = options.pop("jitter", lambda: 1.0)
        return Retry(clock=lambda: self.now, sleep=self.sleep, jitter=jitter, **options)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def failing(*faults: Exception) -> Callable[[], str]:
    """Raises each of these, and returns then."""
    left = list(faults)

    def attempt() -> str:
        if left:
            raise left.pop(0)
        return "done"

    return attempt


def test_waits_double_up_to_the_longest(clock: Clock) -> None:
    attempt = failing(*[PassingFault("busy")] * 4)
    assert clock.retry(longest=3.0).call(attempt) == "done"
    assert clock.waits == [0.5, 1.0, 2.0, 3.0]


def test_jitter_shortens_a_wait_by_a_half_at_most(clock: Clock) -> None:
    attempt = failing(*[PassingFault("busy")] * 2)
    clock.retry(jitter=lambda: 0.0).call(attempt)
    assert clock.waits == [0.25, 0.5]


def test_a_server_that_asks_for_more_gets_it(clock: Clock) -> None:
    attempt = failing(PassingFault("busy", 7.0), PassingFault("busy", 0.1))
    clock.retry().call(attempt)
    assert clock.waits == [7.0, 1.0]


def test_the_last_fault_is_raised_with_the_number_of_attempts(clock: Clock) -> None:
    faults = [PassingFault(str(number)) for number in range(9)]
    with pytest.raises(PassingFault, match="2") as caught:
        clock.retry(attempts=3).call(failing(*faults))
    assert caught.value.attempts == 3
    assert len(clock.waits) == 2


def test_no_attempt_begins_at_the_deadline(clock: Clock) -> None:
    faults = [PassingFault("busy")] * 9
    with pytest.raises(PassingFault) as caught:
        clock.retry(attempts=None).call(failing(*faults), deadline=101.5)
    assert caught.value.attempts == 2
    assert clock.now == 100.5


@pytest.mark.parametrize("fault", [OSError("disk full"), KeyboardInterrupt()])
def test_any_other_fault_is_raised_at_once(clock: Clock, fault: Exception) -> None:
    with pytest.raises(type(fault)) as caught:
        clock.retry().call(failing(fault))
    assert caught.value is fault
    assert clock.waits == []


def test_another_kind_of_fault_may_pass(clock: Clock) -> None:
    assert clock.retry().call(failing(OSError("away")), OSError) == "done"


def test_polling_ends_with_what_the_condition_returned_last() -> None:
    answers = iter([0, None, 7])
    assert poll(lambda: next(answers), seconds=60.0, every=0.001) == 7
    assert poll(lambda: 0, seconds=0.01, every=0.001) == 0


def test_a_fault_of_the_condition_ends_polling() -> None:
    with pytest.raises(OSError, match="away"):
        poll(failing(OSError("away")), seconds=60.0, every=0.001)
