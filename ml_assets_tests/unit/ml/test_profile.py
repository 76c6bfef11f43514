"""The reference profile that later data is compared with."""

import json

import numpy as np
import pandas as pd
import pytest

from ml_assets.ml.predictions import PROBABILITY, Predictions
from ml_assets.ml.profile import Profile, category_counts, profile

NAN = np.nan
EMPTY = np.array([])


def under(value):
    """The largest number below `value`."""
    return float(np.nextafter(value, -np.inf))


@pytest.mark.parametrize(
    "values, bins, edges, counts, missing",
    [
        ([20, 30, 40, 50], 2, (under(20), 30, 50), (0, 2, 2, 0), 0),
        ([20.0, 30.0, 40.0, NAN], 3, (under(20), 20, 30, 40), (0, 1, 1, 1, 0), 1),
        ([7, 7, 7], 4, (under(7), 7), (0, 3, 0), 0),
        ([1.0, 2.0, np.inf], 2, (under(1), 1, 2), (0, 1, 1, 1), 0),
        ([NAN, NAN], 4, (), (0,), 2),
    ],
)
def test_a_numeric_column_is_counted_in_quantile_bins_with_open_ends(
    values, bins, edges, counts, missing
):
    found = profile(pd.DataFrame({"a": values}), EMPTY, bins).numbers["a"]

    assert (found.edges, found.counts, found.missing) == (edges, counts, missing)


def test_a_value_that_many_rows_hold_has_a_bin_of_its_own():
    values = np.where(np.arange(1_000) < 600, 5.0, np.arange(1_000) / 100)

    found = profile(pd.DataFrame({"a": values}), EMPTY).numbers["a"]

    at = found.edges.index(5.0)
    assert found.edges[at - 1] == under(5)
    assert found.counts[at] == 600


def test_many_different_values_fill_bins_evenly():
    values = np.random.default_rng(0).normal(size=10_000)

    found = profile(pd.DataFrame({"a": values}), EMPTY).numbers["a"]

    assert len(found.counts) == 22
    assert found.counts[0] == found.counts[-1] == 0
    assert max(found.counts[1:-1]) - min(found.counts[1:-1]) <= 1


def test_other_values_are_counted_in_the_same_bins_however_extreme():
    reference = profile(pd.DataFrame({"a": [20, 30, 40, 50]}), EMPTY, 2).numbers["a"]

    later = reference.count(np.array([-1e9, 30.0, 30.1, np.inf, NAN]))

    assert later.edges == reference.edges
    assert later.counts == (1, 1, 1, 1)
    assert later.missing == 1


def test_categories_and_booleans_are_counted_by_value():
    frame = pd.DataFrame(
        {
            "sex": pd.Categorical(["m", "f", None, "m"], categories=["x", "m", "f"]),
            "member": [True, False, True, True],
            "text": ["b", "a", "b", "b"],
        }
    )

    found = profile(frame, EMPTY).categories

    assert found["sex"].counts == {"f": 1, "m": 2, "x": 0}
    assert found["sex"].missing == 1
    assert found["member"].counts == {"False": 1, "True": 3}
    assert list(found["text"].counts) == ["a", "b"]


@pytest.mark.parametrize(
    "values",
    [[3, 4, 3], [3.0, 4.0, 3.0, None], ["3", "4", "3.0"]],
    ids=["integers", "floats for a missing one", "texts"],
)
def test_a_whole_number_is_one_category_however_it_is_carried(values):
    assert category_counts(pd.Series(values)) == {"3": 2, "4": 1}


def test_positive_predictions_are_counted():
    assert profile(pd.DataFrame(), np.array([0.2, 0.5, 0.9])).positives == 1
    above = Predictions(PROBABILITY, np.array([0.01, 0.2, 0.9]), threshold=0.05)
    assert profile(pd.DataFrame(), above).positives == 2


def test_a_profile_of_before_is_read():
    old = {"rows": 9, "numbers": {}, "categories": {}, "probability": [4, 5]}

    found = Profile.from_dict(old)

    assert (found.probability.edges, found.probability.counts) == ((0.5,), (4, 5))
    assert found.positives is None


def test_a_profile_survives_json_exactly():
    frame = pd.DataFrame(
        {"a": np.random.default_rng(0).normal(size=99), "b": ["x", "y", "z"] * 33}
    )
    reference = profile(frame, np.linspace(0, 1, 99))

    text = json.dumps(reference.to_dict(), allow_nan=False)

    assert Profile.from_dict(json.loads(text)) == reference
    assert reference.rows == 99
