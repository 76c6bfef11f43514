"""Guardrails, and the verdict on all evidence."""

import msgspec
import numpy as np
import pytest

from ml_assets.ml.sequential import Guardrail, Shadow, Split, decide


def requests(seed, n, share, challenger, champion):
    """Arms and bad events at the given rates."""
    generator = np.random.default_rng(seed)
    arm = generator.random(n) < share
    return arm, generator.random(n) < np.where(arm, challenger, champion)


@pytest.mark.parametrize("share", [0.05, 0.5])
@pytest.mark.parametrize(
    "challenger, champion, tolerance, breached",
    [
        (0.10, 0.01, 1, True),
        (0.02, 0.02, 1, False),
        (0.01, 0.10, 1, False),
        (0.03, 0.02, 2, False),
        (0.10, 0.02, 2, True),
        (0.0, 0.0, 1, False),
    ],
)
def test_only_a_rate_above_the_tolerated_one_is_a_breach(
    share, challenger, champion, tolerance, breached
):
    rail = Guardrail(name="errors", tolerance=tolerance)

    rail = rail.update_split(*requests(0, 8_000, share, challenger, champion), share)

    assert rail.breached == breached


def test_an_arm_that_always_fails_is_found_within_a_few_of_its_requests():
    rail = Guardrail(name="errors")

    rail = rail.update_split(*requests(1, 1_000, 0.1, 1.0, 0.001), 0.1)

    assert rail.breached_at <= 5


def test_an_outage_that_hits_both_arms_is_no_breach():
    arm, bad = requests(2, 3_000, 0.2, 0.001, 0.001)
    bad[1_000:1_500] = True

    assert not Guardrail(name="errors").update_split(arm, bad, 0.2).breached


def test_failures_on_the_same_request_are_no_evidence_in_shadow():
    rail = Guardrail(name="errors").update_paired([True] * 50, [True] * 50)

    assert not rail.breached
    assert rail.log_e == pytest.approx(0)


@pytest.mark.parametrize("tolerance", [1.0, 1.5, 4.0])
@pytest.mark.parametrize("together", [0.0, 0.02, 0.04])
def test_paired_bets_are_fair_at_the_tolerated_rate(tolerance, together):
    # Champion's rate 0.05, of which `together` at once with the challenger.
    rates = [0.05 * tolerance - together, 0.05 - together, together]
    growth = []
    for first, second in [(True, False), (False, True), (True, True)]:
        rail = Guardrail(name="errors", tolerance=tolerance)
        growth.append(np.exp(rail.update_paired(first, second).log_e) - 1)

    assert np.dot(rates, growth) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("batches", [1, 6, 900])
def test_batches_give_bit_for_bit_the_state_of_single_requests(batches):
    share = np.repeat([0.1, 0.4], [500, 400])
    arm, bad = requests(3, 900, share, 0.3, 0.05)
    whole = Guardrail(name="errors").update_split(arm, bad, share)

    state = Guardrail(name="errors")
    for some in np.array_split(np.arange(900), batches):
        state = state.update_split(arm[some], bad[some], share[some])

    assert state == whole
    assert state.breached
    read = msgspec.json.decode(msgspec.json.encode(state), type=Guardrail)
    assert read == state


def test_a_guardrail_counts_requests_that_nothing_happened_to():
    rail = Guardrail(name="errors").update_split([True, False, False], [False] * 3, 0.5)

    assert (rail.requests_challenger, rail.requests_champion) == (1, 2)
    assert rail.describe() == "errors: challenger 0 of 1 requests, champion 0 of 2"


@pytest.mark.parametrize("tolerance", [0, 0.5, float("inf"), float("nan")])
def test_a_tolerance_below_the_champion_is_refused(tolerance):
    with pytest.raises(ValueError, match="tolerance must be 1 or more"):
        Guardrail(name="errors", tolerance=tolerance)


BETTER = Shadow(decided="promote", decided_at=90, n=900, wins=60, losses=20)
WORSE = Shadow(decided="roll_back", decided_at=90, n=900, wins=20, losses=60)
CALM = Guardrail(name="errors", requests_challenger=5_000)
UNSEEN = Guardrail(name="slow answers", requests_challenger=99)
BREACHED = Guardrail(name="errors", requests_challenger=50, breached_at=40)


@pytest.mark.parametrize(
    "evidence, guardrails, expired, verdict, sentence",
    [
        (BETTER, [CALM], False, "promote", "the challenger is better: of 900 labels"),
        (BETTER, [], False, "promote", "60 of them"),
        (BETTER, [CALM], True, "promote", "better"),
        (BETTER, [CALM, BREACHED], False, "roll_back", "guardrail breached: errors"),
        (BETTER, [CALM, UNSEEN], False, "not_yet", "await requests: slow answers"),
        (BETTER, [UNSEEN], True, "keep", "time is over"),
        (WORSE, [CALM], False, "roll_back", "the challenger is worse"),
        (WORSE, [UNSEEN], True, "roll_back", "the challenger is worse"),
        (Shadow(), [CALM], False, "not_yet", "of 0 labels"),
        (Shadow(), [CALM], True, "keep", "without evidence"),
        (Shadow(), [BREACHED], True, "roll_back", "guardrail breached"),
        (Split(expected=0.8), [CALM], False, "not_yet", "no labels yet"),
    ],
)
def test_the_verdict(evidence, guardrails, expired, verdict, sentence):
    decision = decide(evidence, guardrails, expired=expired)

    assert decision.verdict == verdict
    assert sentence in decision.sentence
