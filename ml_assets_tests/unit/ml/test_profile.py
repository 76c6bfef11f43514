"""The reference profile that later data is compared with."""

import json

import numpy as np
import pandas as pd
import pytest

from ml_assets.ml.profile import Profile, probability_counts, profile

NAN = np.nan
EMPTY = np.array([])


@pytest.mark.parametrize(
    "values, bins, edges, counts, missing",
    [
        ([20, 30, 40, 50], 2, (30,), (2, 2), 0),
        ([20.0, 30.0, 40.0, NAN], 3, (20, 30), (1, 1, 1), 1),
        ([0] * 98 + [5, 9], 20, (0,), (98, 2), 0),
        ([7, 7, 7], 4, (), (3,), 0),
        ([1.0, 2.0, np.inf], 2, (1,), (1, 2), 0),
        ([NAN, NAN], 4, (), (0,), 2),
    ],
)
def test_a_numeric_column_is_counted_in_quantile_bins(
    values, bins, edges, counts, missing
):
    found = profile(pd.DataFrame({"a": values}), EMPTY, bins).numbers["a"]

    assert (found.edges, found.counts, found.missing) == (edges, counts, missing)


def test_many_different_values_fill_bins_evenly():
    values = np.random.default_rng(0).normal(size=10_000)

    found = profile(pd.DataFrame({"a": values}), EMPTY).numbers["a"]

    assert len(found.counts) == 20
    assert max(found.counts) - min(found.counts) <= 1


def test_other_values_are_counted_in_the_same_bins_however_extreme():
    reference = profile(pd.DataFrame({"a": [20, 30, 40, 50]}), EMPTY, 2).numbers["a"]

    later = reference.count(np.array([-1e9, 30.0, 30.1, np.inf, NAN]))

    assert later.edges == reference.edges
    assert later.counts == (2, 2)
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


def test_probabilities_are_counted_in_twenty_bins():
    counts = probability_counts(np.array([0.0, 0.04, 0.5, 1.0]))

    assert len(counts) == 20
    assert (counts[0], counts[10], counts[19]) == (2, 1, 1)


def test_a_profile_survives_json_exactly():
    frame = pd.DataFrame(
        {"a": np.random.default_rng(0).normal(size=99), "b": ["x", "y", "z"] * 33}
    )
    reference = profile(frame, np.linspace(0, 1, 99))

    text = json.dumps(reference.to_dict(), allow_nan=False)

    assert Profile.from_dict(json.loads(text)) == reference
    assert reference.rows == 99
