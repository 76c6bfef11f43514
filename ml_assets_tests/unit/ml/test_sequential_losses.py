"""Losses, and the differences of two arms that the tests bet on."""

import math

import numpy as np
import pandas as pd
import pytest

from ml_assets.ml.sequential import ERROR, Loss, Scale
from ml_assets.ml.sequential.differences import paired, split


def test_an_error_is_an_answer_that_is_not_the_truth():
    rows = pd.DataFrame({"label": ["a", "b", None], "truth": ["a", "a", "b"]})

    assert ERROR.of(rows).tolist() == [0, 1, 1]


def test_amounts_are_clipped_at_the_declared_bound():
    loss = Loss(Scale("cost", 400, clipped=True), lambda rows: rows["amount"])

    found = loss.of(pd.DataFrame({"amount": [0, 100, 400, 90_000]}))

    assert found.tolist() == [0, 0.25, 1, 1]


@pytest.mark.parametrize(
    "clipped, value, expected",
    [
        (False, 401, "cost of row 1 must be from 0 to 400, found 401"),
        (False, -1, "cost of row 1 must be from 0 to 400, found -1"),
        (True, -1, "cost of row 1 must be 0 or more, found -1"),
        (True, math.nan, "cost of row 1 must be 0 or more, found nan"),
    ],
)
def test_a_loss_beyond_its_bound_names_the_row(clipped, value, expected):
    loss = Loss(Scale("cost", 400, clipped=clipped), lambda rows: rows)

    with pytest.raises(ValueError, match=expected):
        loss.of([5, value])


@pytest.mark.parametrize("bound", [0, -1, math.inf, math.nan])
def test_a_bound_must_be_a_positive_number(bound):
    with pytest.raises(ValueError, match="the bound of cost must be above 0"):
        Scale("cost", bound)


def test_a_sentence_about_a_clipped_loss_says_that_it_is():
    sentence = Scale("cost", 400, clipped=True).describe(-0.01, -0.0175, -0.0025)

    assert sentence.startswith("mean cost clipped at 400 is -4 against")


@pytest.mark.parametrize("value", [-0.1, 1.5, math.nan])
def test_losses_that_are_not_scaled_are_refused(value):
    with pytest.raises(ValueError, match="loss of the champion must be scaled to 0"):
        paired([0.5], [value])
    with pytest.raises(ValueError, match="loss must be scaled to 0 to 1"):
        split([True], [value], 0.5)


def test_losses_of_different_length_are_refused():
    with pytest.raises(ValueError, match="challenger 1, champion 2"):
        paired([0.5], [0.5, 0.5])
    with pytest.raises(ValueError, match="challenger 1, loss 2"):
        split([True], [0.5, 0.5], 0.5)


@pytest.mark.parametrize("share", [0.05, 0.5])
def test_values_of_a_split_have_the_difference_as_their_mean(share):
    generator = np.random.default_rng(0)
    arm = generator.random(400_000) < share
    losses = generator.beta(1, 20, 400_000) * np.where(arm, 0.8, 1.0)

    values, low, high = split(arm, losses, share, expected=0.9)

    error = values.std() / math.sqrt(len(values))
    assert values.mean() == pytest.approx(0.2 / 21, abs=4 * error)
    # As little chance as the comparison of two means has.
    spread = losses[arm].var() / arm.sum() + losses[~arm].var() / (~arm).sum()
    assert error == pytest.approx(math.sqrt(spread), rel=0.05)
    assert ((low <= values) & (values <= high)).all()
    assert (low < 0).all() and (high > 0).all()


def test_a_value_depends_on_no_later_label():
    arm, losses = [True, False, True], [0.2, 0.9, 0.1]

    whole = split(arm, losses, 0.5).values

    assert split(arm[:2], losses[:2], 0.5).values.tolist() == whole[:2].tolist()
