"""Shadow: paired evidence, label by label."""

import math
from pathlib import Path

import msgspec
import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import beta

from ml_assets.ml.sequential import Shadow, log_e_above, wins_to_promote


def pairs(seed, n, only_challenger, only_champion):
    """Random answers of two models that differ at the given rates."""
    draw = np.random.default_rng(seed).random(n)
    wins = draw < only_challenger
    losses = (draw >= only_challenger) & (draw < only_challenger + only_champion)
    return ~losses, ~wins


@pytest.mark.parametrize(
    "successes, failures, null, concentration",
    [(30, 10, 0.5, 16), (10, 30, 0.5, 16), (3, 40, 0.13, 100), (20.5, 40.5, 0.2, 30)],
)
def test_e_value_is_the_mean_likelihood_ratio_above_the_null(
    successes, failures, null, concentration
):
    a, b = concentration * null, concentration * (1 - null)

    def weighted(p):
        ratio = (p / null) ** successes * ((1 - p) / (1 - null)) ** failures
        return ratio * beta.pdf(p, a, b) / beta.sf(null, a, b)

    mean, _ = quad(weighted, null, 1)

    found = log_e_above(successes, failures, null, concentration)

    assert found == pytest.approx(math.log(mean))


@pytest.mark.parametrize("n", [10, 100])
@pytest.mark.parametrize("rate", [0.5, 0.3])
def test_e_value_has_mean_at_most_one_under_every_null_rate(n, rate):
    wins = np.arange(n + 1)
    weights = np.array([math.comb(n, int(k)) for k in wins], dtype=float)
    weights *= rate**wins * (1 - rate) ** (n - wins)

    mean = np.sum(weights * np.exp(log_e_above(wins, n - wins, 0.5, 16)))

    assert mean <= 1 + 1e-9


@pytest.mark.parametrize(
    "successes, failures",
    [(0, 5_000), (10, 100_000), (100, 10**7), (0, 1), (400_000, 600_000)],
)
def test_overwhelming_evidence_against_an_excess_is_finite_and_negative(
    successes, failures
):
    log_e = float(log_e_above(successes, failures, 0.5, 16))

    assert math.isfinite(log_e)
    assert log_e < 0


def test_evidence_falls_smoothly_where_the_integral_underflows():
    failures = np.arange(500, 1_500)

    steps = np.diff(log_e_above(0, failures, 0.5, 16))

    assert np.abs(steps).max() < 0.02


@pytest.mark.parametrize("null", [0, 1, -0.1, math.nan])
def test_a_null_rate_outside_the_interval_is_refused(null):
    with pytest.raises(ValueError, match="above 0 and below 1"):
        log_e_above(1, 1, null, 16)


@pytest.mark.parametrize("batches", [1, 7, 3_000])
def test_batches_give_bit_for_bit_the_state_of_single_labels(batches):
    challenger, champion = pairs(1, 3_000, 0.05, 0.03)
    whole = Shadow().update(challenger, champion)

    state = Shadow()
    for some in np.array_split(np.arange(3_000), batches):
        state = state.update(challenger[some], champion[some])

    assert state == whole


def test_state_survives_being_written_and_read():
    challenger, champion = pairs(2, 500, 0.05, 0.03)
    state = Shadow().update(challenger[:200], champion[:200])

    read = msgspec.json.decode(msgspec.json.encode(state), type=Shadow)

    assert read.update(challenger[200:], champion[200:]) == Shadow().update(
        challenger, champion
    )


@pytest.mark.parametrize(
    "wins, losses, decided",
    [(0.06, 0.02, "promote"), (0.02, 0.06, "roll_back"), (0.0, 0.0, None)],
)
def test_the_better_model_is_found(wins, losses, decided):
    state = Shadow().update(*pairs(3, 5_000, wins, losses))

    assert state.decided == decided
    assert (state.decided_at is None) == (decided is None)


def test_a_decision_inside_a_batch_stands_though_the_tide_turns_within_it():
    challenger = np.repeat([True, False], [20, 200])

    state = Shadow().update(challenger, ~challenger)

    assert (state.decided, state.decided_at) == ("promote", 12)
    assert state.log_better < 0
    assert (state.n, state.wins, state.losses) == (220, 20, 200)


def test_agreement_is_no_evidence():
    state = Shadow().update([True, False] * 500, [True, False] * 500)

    assert (state.log_better, state.log_worse) == pytest.approx((0, 0))


def test_no_labels_change_nothing():
    state = Shadow(n=5, wins=2, losses=1, log_better=0.1)

    assert state.update([], []) is state


def test_the_trace_ends_in_the_state():
    answers = pairs(4, 300, 0.05, 0.05)
    trace, state = Shadow().trace(*answers), Shadow().update(*answers)

    assert trace.better.shape == trace.worse.shape == (300,)
    assert (trace.better[-1], trace.worse[-1]) == (state.log_better, state.log_worse)


@pytest.mark.parametrize("losses", [0, 10, 200])
def test_one_win_less_does_not_promote(losses):
    wins = wins_to_promote(losses)

    assert log_e_above(wins, losses, 0.5, 16) >= math.log(20)
    assert log_e_above(wins - 1, losses, 0.5, 16) < math.log(20)


def test_the_documented_numbers_of_wins_are_those_of_the_code():
    page = Path(__file__).parents[3] / "docs" / "decisions.md"
    rows = [
        [int(cell) for cell in line.strip("| ").split("|")[1:]]
        for line in page.read_text(encoding="utf-8").splitlines()
        if line.startswith(("| losses |", "| wins |"))
    ]

    assert rows[1] == [wins_to_promote(losses) for losses in rows[0]]


@pytest.mark.parametrize(
    "challenger, champion, message",
    [
        ([True], [True, False], "challenger_right 1, champion_right 2"),
        ([0.7], [True], "challenger_right must hold true or false"),
        ([True], [float("nan")], "champion_right must hold true or false"),
    ],
)
def test_labels_that_cannot_be_compared_are_refused(challenger, champion, message):
    with pytest.raises(ValueError, match=message):
        Shadow().update(challenger, champion)


@pytest.mark.parametrize("alpha", [0, 1, -1, math.nan])
def test_an_impossible_alpha_is_refused(alpha):
    with pytest.raises(ValueError, match="alpha must be above 0 and below 1"):
        Shadow(alpha=alpha)


def test_false_promotions_stay_below_alpha_at_every_look():
    steps = np.arange(401)
    log_e = log_e_above(steps[:, None], steps, 0.5, 16)
    draws = np.random.default_rng(5).random((4_000, 400)) < 0.5
    wins = np.cumsum(draws, axis=1)

    ever = (log_e[wins, steps[1:] - wins] >= math.log(20)).any(axis=1)

    assert 0.01 < ever.mean() <= 0.05
