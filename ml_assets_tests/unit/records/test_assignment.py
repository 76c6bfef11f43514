"""Which arm an entity is sent to."""

import math
import subprocess
import sys

import numpy as np
import pytest

from ml_assets.records.assignment import Assignment

PEOPLE = [f"person-{i}" for i in range(20_000)]


def arms(salt, shares):
    arm_of = Assignment(salt, shares).arm_of
    return np.array([arm_of(person) for person in PEOPLE])


@pytest.mark.parametrize(
    "shares", [(0.5, 0.5), (0.9, 0.1), (0.99, 0.01), (0.2, 0.3, 0.5), (0.0, 1.0)]
)
def test_shares_are_met_within_their_binomial_interval(shares):
    counts = np.bincount(arms("salt", shares), minlength=len(shares))

    for count, share in zip(counts, shares):
        spread = math.sqrt(len(PEOPLE) * share * (1 - share))
        assert abs(count - len(PEOPLE) * share) <= 4 * spread


@pytest.mark.parametrize("steps", [[0.0, 0.01, 0.05, 0.25, 0.5, 1.0]])
def test_growing_the_challenger_moves_entities_to_it_and_none_away(steps):
    before = arms("salt", (1.0, 0.0))
    for last, step in zip(steps, steps[1:]):
        after = arms("salt", (1 - step, step))
        assert np.all(after >= before)
        moved = (after != before).mean()
        assert moved == pytest.approx(step - last, abs=0.015)
        before = after


def test_another_salt_shuffles_all_entities():
    both = (arms("first", (0.5, 0.5)) == 1) & (arms("second", (0.5, 0.5)) == 1)

    assert both.mean() == pytest.approx(0.25, abs=0.02)


def test_another_process_sends_every_entity_to_the_same_arm():
    code = (
        "from ml_assets.records.assignment import Assignment;"
        "arm_of = Assignment('salt', (.7, .3)).arm_of;"
        "print(*(arm_of(f'person-{i}') for i in range(1000)))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONHASHSEED": "77"},
        capture_output=True,
        text=True,
        check=True,
    )

    assert [int(arm) for arm in result.stdout.split()] == list(
        arms("salt", (0.7, 0.3))[:1000]
    )


def test_the_arm_of_an_entity_never_changes_between_releases():
    arms = Assignment("salt", (0.5, 0.5))
    found = "".join(str(arms.arm_of(f"person-{i}")) for i in range(32))

    assert found == "00011001101111011111000011001101"


@pytest.mark.parametrize("entity", ["", "Zoë", "名前", "x" * 100_000, "a\x00b"])
def test_any_text_can_be_an_entity(entity):
    assert Assignment("salt", (0.5, 0.5)).arm_of(entity) in (0, 1)


@pytest.mark.parametrize(
    "shares, message",
    [
        ((0.5, 0.4), "must add up to 1, found 0.9"),
        ((), "must add up to 1"),
        ((1.5, -0.5), "found -0.5"),
        ((math.nan, 1.0), "found nan"),
        ((math.inf, 1.0), "found inf"),
    ],
)
def test_shares_that_are_none_are_refused(shares, message):
    with pytest.raises(ValueError, match=message):
        Assignment("salt", shares)


def test_an_arm_without_traffic_gets_no_entity_however_decimals_round():
    shares = (0.1, 0.2, 0.3, 0.4, 0.0)

    assert set(arms("salt", shares)) == {0, 1, 2, 3}
