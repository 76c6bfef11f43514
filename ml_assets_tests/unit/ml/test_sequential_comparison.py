"""Which test compares two arms, and how often each is wrong."""

import math

import numpy as np
import pytest

from benchmarks import bounded_losses as simulated
from ml_assets.ml.sequential import (
    ERROR,
    Betting,
    Loss,
    Planned,
    Scale,
    Shadow,
    Split,
    compare_paired,
    compare_split,
    log_e_above,
)

COST = Loss(Scale("cost", 400, clipped=True), lambda rows: rows["cost"])


def wrong(seed, n=4_000, challenger=0.12, champion=0.15):
    draw = np.random.default_rng(seed).random(n)
    return draw < challenger, (draw > 0.05) & (draw < 0.05 + champion)


def test_losses_of_0_and_1_give_in_shadow_what_counts_give():
    for seed in range(20):
        challenger, champion = wrong(seed)
        state, trace = compare_paired(ERROR, challenger, champion)

        assert state == Shadow().update(~challenger, ~champion)
        wins = np.cumsum(champion & ~challenger)
        losses = np.cumsum(challenger & ~champion)
        expected = log_e_above(wins, losses, 0.5, 16)
        assert trace.better.tolist() == expected.tolist()


def test_losses_of_0_and_1_give_in_a_split_what_counts_give():
    for seed in range(5):
        challenger, champion = wrong(seed)
        arm = np.random.default_rng(seed).random(len(challenger)) < 0.3
        losses = np.where(arm, challenger, champion)

        state, trace = compare_split(ERROR, arm, losses, 0.3, expected=0.15)

        assert state == Split(expected=0.85).update(arm, losses == 0, 0.3)
        assert trace.better[-1] == state.log_better


@pytest.mark.parametrize(
    "loss, labels, kind",
    [(ERROR, None, Shadow), (COST, None, Betting), (ERROR, 500, Planned)],
)
def test_kind_and_design_choose_the_test_with_and_without_labels(loss, labels, kind):
    for losses in ([], [0.0, 1.0]):
        state, trace = compare_paired(loss, losses, losses, alpha=0.02, labels=labels)
        assert isinstance(state, kind)
        assert (state.alpha, state.n) == (0.02, len(losses))
        assert len(trace.better) == len(trace.worse) == len(losses)
        assert state.describe()


@pytest.mark.parametrize(
    "loss, labels, kind",
    [(ERROR, None, Split), (COST, None, Betting), (COST, 500, Planned)],
)
def test_the_same_of_a_split(loss, labels, kind):
    for losses in ([], [0.0, 1.0]):
        arm = [True, False][: len(losses)]
        state, trace = compare_split(loss, arm, losses, 0.3, labels=labels)
        assert isinstance(state, kind)
        assert len(trace.better) == len(losses) == state.n
        assert state.describe()


def test_part_of_an_error_is_refused():
    with pytest.raises(ValueError, match="must hold true or false"):
        compare_paired(ERROR, [0.5], [1.0])


def test_the_decision_is_about_the_clipped_mean_and_says_so():
    losses = COST.of({"cost": np.full(3_000, 4_000.0)}), np.zeros(3_000)

    state, _ = compare_paired(COST, *losses)

    assert "mean cost clipped at 400 is +400" in state.describe()


@pytest.mark.slow
@pytest.mark.parametrize("is_dearer", [False, True])
def test_of_rare_fraud_cost_finds_what_accuracy_cannot(is_dearer):
    generator = np.random.default_rng(7)
    verdicts = []
    for _ in range(10):
        losses = simulated.cost(30_000, generator, alarms=simulated.POSITIVE * 0.2)
        losses = losses[::-1] if is_dearer else losses
        by_cost, _ = compare_paired(COST, *losses)
        by_accuracy, _ = compare_paired(ERROR, *(loss > 0 for loss in losses))
        verdicts.append((by_cost.decided, by_accuracy.decided))

    by_cost_all, by_accuracy_all = zip(*verdicts)
    assert set(by_cost_all) == {"roll_back" if is_dearer else "promote"}
    assert by_accuracy_all.count(None) >= 8


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["shadow", "split"])
@pytest.mark.parametrize("case", simulated.CASES, ids=lambda case: case.name)
def test_false_promotions_stay_at_or_below_alpha(case, mode):
    streams, labels = 2_000, 1_000 * case.times
    generator = np.random.default_rng(8)
    ever = np.zeros((2, 2))
    for _ in range(streams):
        given = simulated.stream(case.null, mode, labels, generator)
        ends = np.array([case.at_any_time(given), simulated.by_plan(given)])
        ever += ends < simulated.NEVER

    # Alpha, and three standard errors of the simulation.
    allowed = 0.05 + 3 * math.sqrt(0.05 * 0.95 / streams)
    assert (ever[0] / streams <= 0.05).all()
    assert (ever[1] / streams <= allowed).all()
