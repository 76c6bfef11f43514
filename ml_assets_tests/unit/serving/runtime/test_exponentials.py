"""The exponentials of XGBoost and CatBoost, by themselves."""

import math

import numpy as np
import pytest

from ml_assets.serving.runtime.exponentials import (
    exp_by_table,
    logistic_single,
    logistics_single,
    softmax_by_table,
    softmax_single,
)

TOTALS = np.concatenate([np.linspace(-120, 120, 2001), [0.0, -0.0, 1e-45, 3e38, -3e38]])


def test_one_row_gets_the_probability_that_it_has_among_others():
    totals = TOTALS.astype(np.float32)
    alone = [logistic_single(value) for value in totals.tolist()]
    assert logistics_single(totals).astype(float).tolist() == alone


def test_probabilities_stay_above_zero_and_at_most_one():
    found = logistics_single(TOTALS.astype(np.float32))
    assert (found > 0).all() and (found <= 1).all()


def test_the_table_gives_the_exponential():
    values = np.linspace(-700, 709, 20_001)
    expected = np.array([math.exp(value) for value in values])
    np.testing.assert_allclose(exp_by_table(values), expected, rtol=1e-13)


def test_powers_outside_float64_are_zero_or_infinite():
    for value, power in ((-1e4, 0.0), (-709.0, 0.0), (709.8, np.inf), (1e4, np.inf)):
        assert exp_by_table(np.array([value])).tolist() == [power]


def test_four_powers_at_once_stay_above_zero():
    found = exp_by_table(np.full(6, -1e4))
    assert found.tolist() == [2.2250738585072014e-308] * 4 + [0.0] * 2


@pytest.mark.parametrize("function", [softmax_single, softmax_by_table])
def test_classes_far_apart_have_probabilities(function):
    totals = np.array([[-800.0, 0.0, 800.0], [1.0, 1.0, 1.0]], dtype=np.float32)
    if function is softmax_by_table:
        totals = totals.astype(np.float64)
    assert function(totals)[0].tolist() == [0.0, 0.0, 1.0]
    assert function(totals)[1].tolist() == [totals.dtype.type(1) / 3] * 3
