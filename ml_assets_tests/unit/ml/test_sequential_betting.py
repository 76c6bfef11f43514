"""Two arms compared by a bounded loss, at any time."""

import math

import msgspec
import numpy as np
import pytest

from ml_assets.ml.sequential import Betting, Scale, Shadow
from ml_assets.ml.sequential.differences import Differences, paired, split

COST = Scale("cost", 400)
STATE = Betting(scale=COST)


def stream(seed, n=3_000, ratio=0.8, mode="shadow"):
    """Differences of a challenger with `ratio` times the champion's loss."""
    generator = np.random.default_rng(seed)
    champion = generator.beta(1, 6, n)
    challenger = np.minimum(generator.beta(1, 6, n) * ratio, 1.0)
    if mode == "shadow":
        return paired(challenger, champion)
    arm = generator.random(n) < 0.3
    return split(arm, np.where(arm, challenger, champion), 0.3)


@pytest.mark.parametrize("mode", ["shadow", "split"])
@pytest.mark.parametrize("ratio, decided", [(0.7, "promote"), (1.4, "roll_back")])
def test_a_real_difference_is_found_and_covered(mode, ratio, decided):
    state = STATE.update(stream(0, 8_000, ratio, mode))
    low, high = state.interval()

    assert state.decided == decided
    assert low < (ratio - 1) / 7 < high
    assert low < state.difference < high


def test_the_interval_is_tight_enough_to_be_useful():
    values = stream(1, 20_000)
    low, high = STATE.update(values).interval()
    fixed = 2 * 1.645 * values.values.std() / math.sqrt(20_000)

    assert fixed < high - low < 2.5 * fixed


@pytest.mark.parametrize("mode", ["shadow", "split"])
@pytest.mark.parametrize("batches", [1, 7, 900])
def test_batches_give_bit_for_bit_the_state_of_single_labels(batches, mode):
    values = stream(2, 900, mode=mode)
    whole = STATE.update(values)

    state = STATE
    for some in np.array_split(np.arange(900), batches):
        state = state.update(Differences(*(column[some] for column in values)))

    assert state == whole
    assert msgspec.json.decode(msgspec.json.encode(state), type=Betting) == state


def test_the_trace_ends_in_the_state():
    values = stream(3, 500)
    first = STATE.update(values.slice(0, 200))
    trace, state = first.trace(values.slice(200, 500)), STATE.update(values)

    assert trace.better.shape == trace.worse.shape == (300,)
    assert (trace.better[-1], trace.worse[-1]) == (state.log_better, state.log_worse)


def test_long_streams_are_evaluated_in_slices_without_a_seam(monkeypatch):
    values = stream(4, 500)
    whole, trace = STATE.update(values), STATE.trace(values)

    monkeypatch.setattr("ml_assets.ml.sequential.betting.SLICE", 64)

    assert STATE.update(values) == whole
    assert STATE.trace(values).better.tolist() == trace.better.tolist()


def test_equal_losses_are_no_evidence_whatever_they_are():
    for losses in (np.zeros(500), np.ones(500), np.linspace(0, 1, 500)):
        state = STATE.update(paired(losses, losses))
        assert (state.log_better, state.log_worse) == pytest.approx((0, 0), abs=1e-12)
        assert state.decided is None


def test_one_label_decides_nothing_and_no_label_changes_nothing():
    state = STATE.update(paired([0.0], [1.0]))

    assert (state.n, state.decided) == (1, None)
    assert state.interval() == (-1, 1)
    assert state.update(paired([], [])) is state
    assert STATE.describe() == "no labels yet"
    assert math.isnan(STATE.difference)


def test_a_smaller_loss_of_the_challenger_is_never_less_evidence():
    generator = np.random.default_rng(5)
    challenger, champion = generator.random((2, 400))
    smaller = challenger.copy()
    smaller[::3] *= 0.9

    before = STATE.update(paired(challenger, champion))
    after = STATE.update(paired(smaller, champion))

    assert after.log_better > before.log_better
    assert after.log_worse < before.log_worse


def test_what_was_won_can_be_lost_but_for_the_worst_losses_never_all():
    state = STATE.update(paired(np.ones(2_000), np.zeros(2_000)))

    assert state.decided == "roll_back"
    assert math.isfinite(state.log_better) and state.log_better < 0


def test_right_and_wrong_are_found_about_as_soon_as_by_counts():
    draw = np.random.default_rng(6).random(20_000)
    challenger, champion = draw < 0.03, (draw > 0.5) & (draw < 0.56)

    by_bets = STATE.update(paired(challenger, champion))
    by_counts = Shadow().update(~challenger, ~champion)

    assert by_bets.decided == by_counts.decided == "promote"
    assert by_bets.decided_at < 1.5 * by_counts.decided_at


def test_the_figures_are_in_the_unit_of_the_loss():
    state = STATE.update(stream(7, 5_000, 0.7))

    assert state.describe().startswith(
        f"after 5,000 labels the challenger's mean cost is"
        f" {state.difference * 400:+.4g} against the champion's, between "
    )


@pytest.mark.parametrize("mode", ["shadow", "split"])
def test_the_mean_wealth_is_one_without_a_difference(mode):
    # Over all outcomes of one label: two losses, and in a split two arms.
    losses, share = [0.1, 0.9], 0.3
    wealth = []
    if mode == "shadow":
        for challenger in losses:
            for champion in losses:
                values = paired([challenger], [champion])
                wealth.append(math.exp(STATE.update(values).log_better) / 4)
    else:
        for arm, weight in ((True, share), (False, 1 - share)):
            for loss in losses:
                values = split([arm], [loss], share, expected=0.2)
                wealth.append(math.exp(STATE.update(values).log_better) * weight / 2)

    assert sum(wealth) == pytest.approx(1)
