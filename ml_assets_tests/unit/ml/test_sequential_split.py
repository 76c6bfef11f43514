"""Split: two arms, each with its own requests."""

import math

import msgspec
import numpy as np
import pytest

from ml_assets.ml.sequential import Split


def labels(seed, n, share, challenger, champion):
    """Arms and right answers; `share` may differ from label to label."""
    generator = np.random.default_rng(seed)
    arm = generator.random(n) < share
    right = generator.random(n) < np.where(arm, challenger, champion)
    return arm, right, np.broadcast_to(share, (n,))


@pytest.mark.parametrize(
    "share, challenger, champion, decided",
    [
        (0.5, 0.90, 0.80, "promote"),
        (0.5, 0.80, 0.90, "roll_back"),
        (0.1, 0.90, 0.75, "promote"),
        (0.05, 0.60, 0.90, "roll_back"),
    ],
)
def test_a_real_difference_is_found_and_covered(share, challenger, champion, decided):
    data = labels(0, 8_000, share, challenger, champion)

    state = Split(expected=champion).update(*data)
    low, high = state.interval()

    assert state.decided == decided
    assert low < challenger - champion < high
    assert low < state.difference < high


@pytest.mark.parametrize("batches", [1, 5, 1_000])
def test_batches_give_bit_for_bit_the_state_of_single_labels(batches):
    share = np.repeat([0.05, 0.2, 0.5], [300, 300, 400])
    data = labels(1, 1_000, share, 0.9, 0.8)
    whole = Split(expected=0.8).update(*data)

    state = Split(expected=0.8)
    for some in np.array_split(np.arange(1_000), batches):
        state = state.update(*(column[some] for column in data))

    assert state == whole
    assert [phase.share for phase in state.phases] == [0.05, 0.2, 0.5]


def test_a_late_label_counts_for_the_share_that_its_request_had():
    late_last = Split(expected=0.8).update([True, False, True], [True] * 3, 0.1)
    state = Split(expected=0.8).update([True, False], [True, True], 0.1)
    state = state.update([False], [True], 0.5).update([True], [True], 0.1)

    assert state.phases[0] == late_last.phases[0]


@pytest.mark.slow
@pytest.mark.parametrize("difference, share", [(-0.1, 0.1), (0.0, 0.5), (0.1, 0.1)])
def test_the_interval_covers_the_truth_at_every_look(difference, share):
    missed = 0
    for seed in range(60):
        data = labels(seed, 600, share, 0.8 + difference, 0.8)
        state = Split(expected=0.75)
        for some in np.array_split(np.arange(600), 6):
            state = state.update(*(column[some] for column in data))
            low, high = state.interval()
            missed += not low <= difference <= high
            if not low <= difference <= high:
                break

    # Both limits together may miss in 6 of 60 streams.
    assert missed <= 9


def test_the_interval_is_tight_enough_to_be_useful():
    state = Split(expected=0.85).update(*labels(2, 20_000, 0.5, 0.87, 0.85))
    low, high = state.interval()
    fixed = 2 * 1.645 * math.sqrt(0.24 / 10_000)

    assert high - low < 2 * fixed


def test_a_bad_guess_of_the_accuracy_widens_the_interval_and_no_more():
    data = labels(3, 5_000, 0.5, 0.9, 0.8)
    widths = [
        np.ptp(Split(expected=guess).update(*data).interval()) for guess in (0.8, 0.3)
    ]

    assert widths[0] < widths[1] < 2 * widths[0]


def test_before_any_label_everything_is_possible():
    state = Split(expected=0.8)

    assert state.interval() == (-1.0, 1.0)
    assert math.isnan(state.difference)
    assert state.describe() == "no labels yet"


def test_the_trace_ends_in_the_state_that_describes_itself():
    data = labels(5, 500, 0.5, 0.9, 0.8)
    trace, state = Split(expected=0.8).trace(*data), Split(expected=0.8).update(*data)

    assert (trace.better[-1], trace.worse[-1]) == (state.log_better, state.log_worse)
    assert state.describe().startswith("after 500 labels the challenger's accuracy is")


def test_state_survives_being_written_and_read():
    arm, right, share = labels(4, 400, 0.3, 0.8, 0.8)
    state = Split(expected=0.8).update(arm[:150], right[:150], 0.3)

    read = msgspec.json.decode(msgspec.json.encode(state), type=Split)

    assert read.update(arm[150:], right[150:], 0.3) == Split(expected=0.8).update(
        arm, right, share
    )


@pytest.mark.parametrize("share", [0, 1, -0.1, 1.5, math.nan])
def test_a_share_that_leaves_an_arm_without_traffic_is_refused(share):
    with pytest.raises(ValueError, match="share must be above 0 and below 1"):
        Split(expected=0.8).update([True], [True], share)


@pytest.mark.parametrize("expected", [0, 1, math.nan])
def test_an_impossible_expected_accuracy_is_refused(expected):
    with pytest.raises(ValueError, match="expected accuracy"):
        Split(expected=expected)


def test_false_promotions_stay_below_alpha_at_every_look():
    share = np.repeat([0.05, 0.5], 200)
    decided = [
        Split(expected=0.8).update(*labels(seed, 400, share, 0.85, 0.85)).decided
        for seed in range(1_000)
    ]

    assert decided.count("promote") <= 50
    assert decided.count("roll_back") <= 50
