"""Whether the live mean of a loss is above the offline one."""

import numpy as np
import pytest

from ml_assets.ml.sequential import Scale
from ml_assets.ml.sequential.degradation import loss_degraded, mean_upper_bound

COST = Scale("cost", 400)


def costs(seed, n, missed):
    """A rare large loss and a frequent small one."""
    draw = np.random.default_rng(seed).random(n)
    return np.where(draw < missed, 1.0, np.where(draw < 0.03, 0.0125, 0.0))


def test_a_loss_that_grew_is_found_and_one_that_did_not_is_not():
    high = mean_upper_bound(costs(0, 20_000, 0.002), 0.005)

    same = loss_degraded(costs(1, 20_000, 0.002), high, scale=COST)
    grown = loss_degraded(costs(2, 20_000, 0.01), high, scale=COST)

    assert (same.metric, same.degraded, grown.degraded) == ("cost", False, True)
    assert "is not shown to be above" in same.sentence
    assert grown.limit == pytest.approx(high * 1.1 * 400)
    assert f"is above {grown.limit:.4g}" in grown.sentence


def test_a_loss_that_fell_again_ends_the_alarm():
    losses = np.concatenate([np.full(300, 0.8), np.full(3_000, 0.05)])

    found = loss_degraded(losses, 0.2, scale=COST)

    assert not found.degraded
    assert found.since > 300
    assert "mean cost 20 over" in found.sentence


def test_without_labels_nothing_is_known():
    found = loss_degraded([], 0.2, scale=COST)

    assert (found.degraded, found.log_e) == (False, 0.0)
    assert found.sentence.startswith("live mean cost unknown over 0 labels")


@pytest.mark.parametrize("high", [0.0, 1.0])
def test_a_limit_that_no_loss_can_exceed_is_refused(high):
    with pytest.raises(ValueError, match="mean cost cannot be held against"):
        loss_degraded([0.5], high, scale=COST)


@pytest.mark.parametrize("losses", [[], [0.5]])
def test_fewer_than_two_losses_bound_nothing(losses):
    assert mean_upper_bound(losses, 0.01) == 1.0


def test_the_bound_is_above_the_mean_but_for_alpha():
    means = [mean_upper_bound(costs(seed, 2_000, 0.01), 0.05) for seed in range(400)]

    assert np.mean(np.array(means) < 0.01 + 0.02 * 0.0125) <= 0.05
