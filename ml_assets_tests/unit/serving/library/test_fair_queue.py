"""Start-time fair queueing: the share of each model, whatever its requests take."""

from collections import Counter

import pytest

from ml_assets.serving.library.fair_queue import FairQueue, Flow


def served_seconds(costs: dict[Flow, float], total: float) -> Counter[Flow]:
    """Seconds of each flow, each of which always has a request that waits."""
    queue, seconds = FairQueue(), Counter[Flow]()
    for flow in costs:
        queue.join(flow)
    while sum(seconds.values()) < total:
        ticket = queue.waiting[0]
        queue.begin(ticket)
        seconds[ticket.flow] += costs[ticket.flow]  # type: ignore[assignment]
        queue.charge(ticket, costs[ticket.flow])
        queue.join(ticket.flow)
    return seconds


def test_a_model_of_long_answers_gets_the_same_seconds_as_one_of_short_ones():
    long, short = Flow("long"), Flow("short")
    seconds = served_seconds({long: 1.0, short: 0.01}, 100)
    assert seconds[short] == pytest.approx(seconds[long], abs=1.1)


def test_a_shadow_gets_a_tenth_of_what_answers_get():
    answers, shadow = Flow("census"), Flow("census", is_shadow=True)
    seconds = served_seconds({answers: 0.1, shadow: 0.1}, 110)
    assert seconds[answers] / seconds[shadow] == pytest.approx(10, rel=0.1)


def test_who_was_idle_has_saved_nothing_up():
    queue, busy, idle = FairQueue(), Flow("busy"), Flow("idle")
    for _ in range(100):
        ticket = queue.join(busy)
        queue.begin(ticket)
        queue.charge(ticket, 1.0)
    first = []
    for _ in range(4):
        tickets = [queue.join(busy), queue.join(idle)]
        first.append(queue.waiting[0].flow.model)
        queue.begin(queue.waiting[0])
        for ticket in queue.waiting:
            queue.leave(ticket)
        for ticket in tickets:
            if ticket.flow.model == first[-1]:
                queue.charge(ticket, 1.0)
    assert 1 <= first.count("idle") <= 3


def test_who_leaves_is_not_served():
    queue = FairQueue()
    gone, waits = queue.join(Flow("a")), queue.join(Flow("b"))
    queue.leave(gone)
    assert queue.waiting == [waits]
