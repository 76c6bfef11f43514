"""Ordinary growth and the contract: what is new by nature stops no table."""

import numpy as np
import pandas as pd
import pytest

from ml_assets.ml.contract import Contract
from ml_assets.ml.identifiers import is_identifier_or_date

RNG = np.random.default_rng(0)
DAYS = pd.date_range("2026-09-01", periods=120)
ROWS = 920


def errors(before, after, **given):
    """Rules that stop `after`, where `before` was accepted."""
    contract = Contract.learn(pd.DataFrame({"x": before}))
    found = contract.compare(pd.DataFrame({"x": after}), **given)
    return [item.rule for item in found if item.severity == "error"]


def days(start, form):
    """A window of 60 days, a fixed number of rows each."""
    return [day.strftime(form) for day in DAYS[start : start + 60] for _ in range(15)]


def ids(form, start, count=ROWS):
    return [form.format(number) for number in range(start, start + count)]


GROWTH = {
    "ISO dates": (days(0, "%Y-%m-%d"), days(7, "%Y-%m-%d")),
    "dates as people write them": (days(0, "%d.%m.%Y"), days(60, "%d.%m.%Y")),
    "American dates": (days(0, "%m/%d/%Y"), days(60, "%m/%d/%Y")),
    "times": (days(0, "%Y-%m-%dT%H:%M:%SZ"), days(60, "%Y-%m-%d %H:%M")),
    "dates with a month's name": (days(0, "%d %b %Y"), days(60, "%d %b %Y")),
    "weeks": (days(0, "%G-W%V"), days(60, "%G-W%V")),
    "months": (days(0, "%Y-%m"), days(60, "%Y-%m")),
    "dates without dashes": (
        [int(day) for day in days(0, "%Y%m%d")],
        [int(day) for day in days(60, "%Y%m%d")],
    ),
    "seconds": (
        [1_790_000_000 + 60 * n for n in range(ROWS)],
        [1_799_000_000 + 60 * n for n in range(ROWS)],
    ),
    "20 new customers among 920": (ids("C{:05}", 0), ids("C{:05}", 20)),
    "all customers new": (ids("{:04}-VHVEG", 0), ids("{:04}-VHVEG", 5000)),
    "customers who come again": (ids("c-{}", 0, 92) * 10, ids("c-{}", 40, 92) * 10),
    "numbers of customers": ([*range(ROWS)], [*range(50_000, 50_000 + ROWS)]),
    "numbers in no order": (
        RNG.permutation(ROWS).tolist(),
        (90_000 + RNG.permutation(ROWS)).tolist(),
    ),
    "numbers with a gap": (
        [float(n) for n in range(ROWS)],
        [float(n) + 1e6 for n in range(ROWS - 1)] + [np.nan],
    ),
    "free text": (
        [f"he said {n} and {n * 7}" for n in range(ROWS)],
        [f"she said {n} or {n * 3}" for n in range(ROWS)],
    ),
    "one new entry in a small table": (["a", "b"] * 25, ["a", "b"] * 24 + ["c"] * 2),
}


@pytest.mark.parametrize("name", GROWTH)
def test_growth_is_no_error(name):
    before, after = GROWTH[name]
    assert errors(before, after) == []
    # A contract that was learnt of a column before it was found to be one.
    assert errors(before[:15], after) in ([], ["row_count"])


@pytest.mark.parametrize(
    "before, after, rule",
    [
        (["m", "f"] * 460, ["m", "w"] * 460, "unseen_category"),
        (["1-2", "3-5"] * 460, ["1-2", "6-9"] * 460, "unseen_category"),
        (RNG.normal(5e4, 1e4, ROWS), RNG.normal(5e6, 1e6, ROWS), "out_of_range"),
        (
            RNG.integers(20_000, 90_000, ROWS),
            RNG.integers(2_000_000, 9_000_000, ROWS),
            "out_of_range",
        ),
        ([2024, 2025] * 460, [9999] * ROWS, "out_of_range"),
        (["a", "b"] * 25, ["a", "b"] * 22 + ["c"] * 6, "unseen_category"),
        (ids("C{}", 0), [n for n in range(ROWS)], "changed_type"),
    ],
    ids=[
        "renamed categories",
        "groups of ages",
        "another unit of a float",
        "another unit of a whole number",
        "a code for missing",
        "many new in a small table",
        "an identifier of another type",
    ],
)
def test_what_is_no_growth_is_an_error_still(before, after, rule):
    assert errors([*before], [*after]) == [rule]


def test_a_long_tail_brings_new_values_as_often_as_it_did():
    tail = RNG.zipf(1.5, 20_000).clip(max=100_000)
    names = np.array([f"town {'x' * (n % 7)} {n:b}" for n in tail])
    before, after = names[:10_000], names[10_000:]
    share = (~pd.Series(after).isin(before)).mean()
    assert share > 0.01 and errors(before.tolist(), after.tolist()) == []


@pytest.mark.parametrize("kept", ["dropped", "keys"])
def test_dropped_columns_and_keys_are_not_held_to_their_values(kept):
    before, after = ["a", "b"] * ROWS, ["c", "d"] * ROWS
    assert errors(before, after) == ["unseen_category"]
    assert errors(before, after, **{kept: ["x"]}) == []
    assert errors([1, 2] * ROWS, [9999, 1] * ROWS, **{kept: ["x"]}) == []


def test_a_dropped_column_may_be_of_any_type_and_a_key_may_not():
    before, after = ["a", "b"] * ROWS, [None, 3.5] * ROWS
    assert errors(before, after, dropped=["x"]) == []
    assert errors(before, after, keys=["x"]) == ["missing_values", "changed_type"]


@pytest.mark.parametrize(
    "values",
    [
        RNG.normal(0, 1, 500),
        RNG.integers(0, 100, 500),
        RNG.integers(0, 10**6, 500) * 1.0,
        ["gold", "silver", "bronze"] * 100,
        [True, False] * 100,
        [f"{low}-{low + 9}" for low in range(0, 90, 10)] * 20,
        [None] * 50,
        [],
    ],
    ids=["floats", "small", "large", "words", "Booleans", "groups", "nothing", "empty"],
)
def test_a_feature_is_no_identifier(values):
    assert not is_identifier_or_date(pd.Series(values))


@pytest.mark.parametrize("after", [["a", "b"] * ROWS, [1.5] * 2 * ROWS, [True] * ROWS])
def test_a_column_that_had_no_value_may_hold_anything_once_it_has(after):
    assert errors([np.nan] * len(after), after) == []
