"""Rows and answers on their way between a server and its library processes."""

import socket
import threading

import numpy as np
import pytest

from ml_assets.records.plan import Column, Signature
from ml_assets.serving.library.messages import (
    Answered,
    Asked,
    Channel,
    Predict,
    Reply,
    packed,
    unpacked,
)
from ml_assets.serving.runtime.protocol import Refused
from ml_assets.serving.runtime.sklearn_runtime import frame_of

SIGNATURE = Signature(
    columns=(
        Column(name="age", kind="number", nullable=True),
        Column(name="count", kind="integer"),
        Column(name="married", kind="boolean", nullable=True),
        Column(name="note", kind="string", nullable=True),
        Column(name="unused", kind="string", ignored=True),
    ),
    target="y",
    negative=0,
    positive=1,
)
COLUMNS = [
    [1.5, None, 5e-324],
    [2**53 + 1, -0.0, 10**300],
    [True, None, False],
    ["é", None, ""],
    [None, None, None],
]


@pytest.fixture
def channels():
    here, there = socket.socketpair()
    ends = Channel(here), Channel(there)
    yield ends
    for end in ends:
        end.close()


def test_rows_arrive_as_the_frame_that_they_make_here(channels):
    here, there = channels
    here.send(Predict("d", packed(SIGNATURE, COLUMNS)))
    found = frame_of(SIGNATURE, unpacked(there.receive(Asked).columns))
    expected = frame_of(SIGNATURE, COLUMNS)
    assert found.dtypes.equals(expected.dtypes) and found.equals(expected)
    assert np.signbit(found["count"][1])


def test_answers_arrive_to_the_last_bit(channels):
    here, there = channels
    answers = np.random.default_rng(0).random((200_000, 3))
    # Longer than what a socket holds: the other end reads meanwhile.
    message = Answered([*answers.shape], answers.tobytes())
    thread = threading.Thread(target=here.send, args=(message,))
    thread.start()
    found = there.receive(Reply, 30)
    thread.join()
    assert found.array.tobytes() == answers.tobytes()
    assert found.array.shape == answers.shape


def test_a_number_beyond_float64_is_refused():
    columns = [[1.0], [10**400], [True], [""], [None]]
    with pytest.raises(Refused, match="too large"):
        packed(SIGNATURE, columns)


def test_an_end_that_is_closed_and_one_that_is_silent_are_two_things(channels):
    here, there = channels
    with pytest.raises(TimeoutError):
        here.receive(Reply, 0.01)
    there.close()
    with pytest.raises(EOFError):
        here.receive(Reply, 30)
