"""What the event loop does not wait for: by the seconds that a version takes."""

import asyncio
import gc
import json
import threading
import weakref
from collections import Counter

import numpy as np
import pytest

from ml_assets.records.plan import Arm, ServingPlan
from ml_assets.serving.models.arms import INLINE_SECONDS, ServedArm
from ml_assets.serving.models.ids import PredictionIds
from ml_assets.serving.models.probe import Speed
from ml_assets.serving.models.router import ServedModel
from ml_assets.serving.runtime.protocol import Refused
from ml_assets_tests.kits.app import ROW, FakeRuntime, call, server

PREDICT = "/models/census/predict"


class Threads(FakeRuntime):
    """Notes which thread computes."""

    def __init__(self):
        super().__init__()
        self.names: list[str] = []

    def predict_one(self, values):
        self.names.append(threading.current_thread().name)
        return super().predict_one(values)

    def predict_many(self, columns):
        self.names.append(threading.current_thread().name)
        return np.asarray(super().predict_many(columns))


def served(runtime: FakeRuntime, speed: Speed) -> ServedModel:
    arm = Arm(version="v1", bundle="b", files={}, runtime="compiled")
    plan = ServingPlan(
        model="census", generation=1, arms=(arm,), created_at="now", reason="test"
    )
    ids = PredictionIds()
    return ServedModel(plan, [ServedArm("census", arm, runtime, 100, ids, speed)])


@pytest.mark.parametrize(
    ("alone", "row", "rows", "on_loop"),
    [
        (0.1, 0.01, 1, True),
        (0.1, 0.01, 80, True),
        (0.1, 0.05, 30, False),
        (0.9, 0.9, 1, True),
        (0.9, 0.9, 2, False),
        (1.1, 0.01, 1, False),
    ],
)
def test_a_compiled_version_answers_on_the_event_loop_if_it_takes_a_millisecond(
    alone, row, rows, on_loop
):
    runtime = Threads()
    speed = Speed(alone * INLINE_SECONDS, row * INLINE_SECONDS, 80.0)
    app = server(served(runtime, speed))
    answer = asyncio.run(call(app, PREDICT, {"rows": [ROW] * rows}))
    app.close()
    assert answer.status == 200
    assert len(answer.json["predictions"]) == rows
    (name,) = runtime.names
    assert (name == "MainThread") == on_loop, name


def test_slow_answers_of_one_model_do_not_wait_for_those_of_another():
    entered, go = threading.Event(), threading.Event()

    class Stuck(FakeRuntime):
        def predict_one(self, values):
            entered.set()
            assert go.wait(30)
            return 0.25

    slow, other = served(Stuck(), Speed(1, 1, 80)), served(Threads(), Speed(1, 1, 80))
    other.name = "other"
    app = server(slow, other)

    async def run():
        waiting = asyncio.create_task(call(app, PREDICT, {"rows": [ROW]}))
        await asyncio.to_thread(entered.wait, 30)
        answer = await call(app, "/models/other/predict", {"rows": [ROW]})
        queues = app.metrics.model_queues()
        go.set()
        return answer, queues, await waiting

    answer, queues, waited = asyncio.run(run())
    app.close()
    assert (answer.status, waited.status) == (200, 200)
    assert queues["census"] == 1


def test_an_answer_that_takes_too_long_gets_504():
    go = threading.Event()

    class Stuck(FakeRuntime):
        def predict_one(self, values):
            assert go.wait(30)
            return 0.25

    app = server(served(Stuck(), Speed(1, 1, 80)), answer_seconds=0.05)
    answer = asyncio.run(call(app, PREDICT, {"rows": [ROW]}))
    go.set()
    app.close()
    assert answer.status == 504
    assert answer.json["type"] == "urn:ml-assets:problem:late-answer"


def test_a_late_answer_keeps_its_share_of_the_body_budget_until_its_thread_is_done():
    go = threading.Event()

    class Stuck(FakeRuntime):
        def predict_one(self, values):
            assert go.wait(30)
            return 0.25

    app = server(
        served(Stuck(), Speed(1, 1, 80)), answer_seconds=0.05, max_body_bytes=300_000
    )
    # White space may follow, so that the body is large.
    body = json.dumps({"rows": [ROW]}).encode().ljust(300_000)

    async def statuses(count: int) -> list[int]:
        answers = [call(app, PREDICT, body) for _ in range(count)]
        return [item.status for item in await asyncio.gather(*answers)]

    async def run():
        first = await call(app, PREDICT, body)
        # The budget is eight large bodies, of which the stuck thread has one.
        beside = await statuses(8)
        # Those that only waited for the thread are kept no longer.
        again = await statuses(7)
        go.set()
        return first.status, Counter(beside), Counter(again)

    first, beside, again = asyncio.run(run())
    app.close()
    assert first == 504
    assert beside == {504: 7, 503: 1}
    assert again == {504: 7}


def test_what_a_refused_request_held_is_freed_with_its_answer():
    class Rows:
        """Stands for a body and its rows."""

    class Refusing(FakeRuntime):
        def predict_one(self, values):
            rows = Rows()
            kept.append(weakref.ref(rows))
            raise Refused("no")

    kept: list[weakref.ref[Rows]] = []
    app = server(served(Refusing(), Speed(1, 1, 80)))
    gc.disable()
    try:
        answer = asyncio.run(call(app, PREDICT, {"rows": [ROW]}))
        # The thread lets go of it when it ends, at the latest.
        app.close()
        assert answer.status == 422
        assert [item() for item in kept] == [None]
    finally:
        gc.enable()
