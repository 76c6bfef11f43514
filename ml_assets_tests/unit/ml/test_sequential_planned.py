"""Two arms compared by a planned number of labels."""

import math

import msgspec
import numpy as np
import pytest

from ml_assets.ml.sequential import Guardrail, Planned, Scale, decide
from ml_assets.ml.sequential.boundaries import boundaries, repeated_p, spent
from ml_assets.ml.sequential.differences import Differences, paired

STATE = Planned(scale=Scale("cost", 400), labels=1_000)
FIFTHS = (0.2, 0.4, 0.6, 0.8, 1.0)


def stream(seed, n=1_000, ratio=1.0):
    generator = np.random.default_rng(seed)
    challenger = np.minimum(generator.beta(1, 6, n) * ratio, 1.0)
    return paired(challenger, generator.beta(1, 6, n))


def test_boundaries_are_those_of_the_textbook():
    # Lan-DeMets spending like O'Brien and Fleming, one-sided 0.025, five analyses.
    found = boundaries(0.025, FIFTHS)

    assert found == pytest.approx((4.877, 3.357, 2.680, 2.290, 2.031), abs=2e-3)


@pytest.mark.parametrize("alpha", [0.01, 0.05, 0.2])
def test_boundaries_are_reached_with_probability_alpha(alpha):
    steps = np.random.default_rng(0).standard_normal((200_000, 5)) / math.sqrt(5)
    statistics = np.cumsum(steps, axis=1) / np.sqrt(FIFTHS)

    ever = (statistics >= boundaries(alpha, FIFTHS)).any(axis=1).mean()

    assert ever == pytest.approx(alpha, abs=4 * math.sqrt(alpha / 200_000))


def test_all_of_alpha_is_spent_at_the_end_and_nothing_at_the_start():
    assert spent(0.05, 1.0) == pytest.approx(0.05)
    assert spent(0.05, 0.01) < 1e-12


@pytest.mark.parametrize("analysis", [2, 5])
def test_the_repeated_p_is_alpha_on_the_boundary_of_alpha(analysis):
    limit = boundaries(0.03, FIFTHS)[analysis - 1]

    assert repeated_p(limit, FIFTHS[:analysis]) == pytest.approx(0.03, rel=1e-3)
    assert repeated_p(-1.0, FIFTHS[:analysis]) > 0.9
    assert repeated_p(30.0, FIFTHS[:analysis]) == 1e-6


@pytest.mark.parametrize("ratio, decided", [(0.8, "promote"), (1.25, "roll_back")])
def test_a_real_difference_is_found_at_a_look_and_covered(ratio, decided):
    state = STATE.update(stream(1, ratio=ratio))
    low, high = state.interval()

    assert (state.decided, state.finished) == (decided, True)
    assert state.decided_at in (200, 400, 600, 800, 1_000)
    assert low < (ratio - 1) / 7 < high


@pytest.mark.parametrize("batches", [1, 7, 1_000])
def test_batches_give_bit_for_bit_the_state_of_single_labels(batches):
    values = stream(2, ratio=0.9)
    whole = STATE.update(values)

    state = STATE
    for some in np.array_split(np.arange(1_000), batches):
        state = state.update(Differences(*(column[some] for column in values)))

    assert state == whole
    assert msgspec.json.decode(msgspec.json.encode(state), type=Planned) == state


def test_the_decision_is_that_of_the_boundaries():
    for seed in range(10):
        state = STATE.update(stream(seed, ratio=0.9))
        reached = [one.n for one in state.analyses if one.better >= one.boundary]
        assert state.decided_at == (reached[0] if reached else None)


def test_labels_between_two_looks_are_no_evidence():
    values = stream(3, ratio=0.7)
    before = STATE.update(values.slice(0, 399))
    after = STATE.update(values.slice(0, 400))

    assert [len(state.analyses) for state in (before, after)] == [1, 2]
    assert before.trace(values.slice(399, 400)).better[-1] == after.log_better
    assert len(set(before.trace(values.slice(200, 399)).better)) == 1


def test_labels_after_the_planned_ones_change_nothing():
    state = STATE.update(stream(4))

    later = state.update(paired(np.zeros(500), np.ones(500)))

    assert (later.analyses, later.decided) == (state.analyses, state.decided)
    assert later.describe() == state.describe()


@pytest.mark.parametrize("losses", [0.0, 0.3, 1.0])
def test_equal_losses_are_no_evidence(losses):
    values = paired(np.full(1_000, losses), np.full(1_000, losses))

    assert STATE.update(values).decided is None


def test_a_small_saving_on_every_row_is_no_evidence_before_the_rare_loss_was_seen():
    # Without the further value each analysis would have no variance and be certain.
    values = paired(np.zeros(1_000), np.full(1_000, 0.0005))

    assert STATE.update(values).decided is None


def test_before_the_first_analysis_it_says_when_that_is():
    state = STATE.update(stream(5, n=50))

    assert state.describe() == "50 of 1,000 planned labels; the next analysis is at 200"
    assert state.interval() == (-1, 1)


def test_when_the_labels_are_over_without_evidence_the_champion_is_kept():
    calm = Guardrail(name="errors", requests_challenger=5_000)
    values = stream(6)

    assert decide(STATE.update(values.slice(0, 999)), [calm]).verdict == "not_yet"
    decision = decide(STATE.update(values), [calm])

    assert decision.verdict == "keep"
    assert decision.sentence.startswith("the planned labels are over without evidence")


def test_a_comparison_that_was_won_waits_for_its_guardrails():
    unseen = Guardrail(name="errors", requests_challenger=5)
    state = STATE.update(stream(1, ratio=0.8))

    assert decide(state, [unseen]).verdict == "not_yet"


def test_too_few_labels_for_the_looks_are_refused():
    with pytest.raises(ValueError, match="labels must be 5 or more"):
        Planned(scale=Scale("cost"), labels=4)
