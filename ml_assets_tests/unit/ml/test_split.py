"""Which rows are held out: always the same ones, whatever is added or reordered."""

import numpy as np
import pandas as pd
import pytest

from ml_assets.ml.row_identity import Identity, identity_of
from ml_assets.ml.split import SplitError, check_minimum, held_out, with_test_rows
from ml_assets.spec.source import SourceSpec
from ml_assets.spec.split import MinimumSpec, SplitSpec

ABC = Identity(("a", "b", "c"))
NONE = Identity(())


def rows(n, seed=0):
    generator = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "a": generator.normal(size=n),
            "b": generator.integers(0, 50, n),
            "c": pd.Categorical(generator.choice(["x", "y"], n)),
        }
    )
    return frame, (generator.random(n) < 0.2).astype(np.int64)


@pytest.mark.parametrize("test_size", [0.1, 0.2, 0.5])
def test_each_class_gives_about_its_share(test_size):
    frame, y = rows(10_000)

    mask = held_out(frame, y, SplitSpec(test_size=test_size), ABC)

    for label in (0, 1):
        of_class = y == label
        error = np.sqrt(test_size * (1 - test_size) / of_class.sum())
        assert abs(mask[of_class].mean() - test_size) < 4 * error


def test_the_order_of_rows_and_columns_does_not_matter():
    frame, y = rows(500)
    order = np.random.default_rng(1).permutation(500)

    mask = held_out(frame, y, SplitSpec(), ABC)
    shuffled = held_out(frame.iloc[order][["c", "a", "b"]], y[order], SplitSpec(), ABC)

    np.testing.assert_array_equal(shuffled, mask[order])


def test_another_seed_holds_out_other_rows():
    frame, y = rows(500)

    first, second = (held_out(frame, y, SplitSpec(seed=seed), ABC) for seed in (0, -1))

    assert 0.1 < (first & second).sum() / first.sum() < 0.35


@pytest.mark.parametrize("before", [100, 5_000, 10_999])
def test_rows_added_later_move_no_earlier_row(before):
    frame, y = rows(11_000)

    first = held_out(frame[:before], y[:before], SplitSpec(), ABC)
    after = held_out(frame, y, SplitSpec(), ABC)[:before]

    np.testing.assert_array_equal(first, after)


@pytest.mark.parametrize("test_size", [0.01, 0.99])
def test_a_rare_class_is_found_on_both_sides(test_size):
    frame, y = rows(50)
    y[:] = 0
    y[:2] = 1

    mask = held_out(frame, y, SplitSpec(test_size=test_size), ABC)

    assert mask[y == 1].sum() == 1
    assert 0 < mask[y == 0].sum() < 48


def test_twins_stand_on_one_side_whatever_became_of_them():
    frame, y = rows(2_000)
    twins = pd.concat([frame, frame], ignore_index=True)

    mask = held_out(twins, np.concatenate([y, 1 - y]), SplitSpec(), ABC)

    np.testing.assert_array_equal(mask[:2_000], mask[2_000:])


def test_rows_of_one_key_stand_on_one_side():
    frame, y = rows(2_000)
    identity = identity_of(frame.assign(late=y), "late", split=SplitSpec(key=["b"]))

    mask = held_out(frame, y, SplitSpec(key=["b"]), identity)

    assert set(pd.Series(mask).groupby(frame["b"]).nunique()) == {1}
    assert 0.05 < mask.mean() < 0.4


@pytest.mark.parametrize("kinds", [1, 2, 8, 60])
def test_rows_of_a_few_kinds_are_divided_and_stay_where_they_are(kinds):
    frame = pd.DataFrame({"a": np.arange(5_000) % kinds})
    y = (np.arange(5_000) % 7 == 0).astype(np.int64)
    identity = identity_of(frame.assign(late=y), "late")

    before = held_out(frame[:3_000], y[:3_000], SplitSpec(), identity)
    after = held_out(frame, y, SplitSpec(), identity)

    assert 0.17 < after.mean() < 0.23
    np.testing.assert_array_equal(before, after[:3_000])


@pytest.mark.parametrize("n, held", [(10, 2), (11, 2), (3, 1), (1_000, 200)])
def test_split_by_order_holds_out_the_last_rows(n, held):
    mask = held_out(
        pd.DataFrame({"a": [1] * n}),
        np.arange(n) % 2,
        SplitSpec(type="order"),
        NONE,
    )

    assert mask.sum() == held and mask[-held:].all()


@pytest.mark.parametrize(
    "moments",
    [
        [4, 1, 5, 2, 3],
        [4.0, np.nan, 5.0, 2.0, 3.0],
        ["2026-04-01", "2026-01-01", "2026-05-01T10:00:00", "2026-02-01", "2026-03-01"],
        ["2026-04-01", None, "2026-05-01", "2026-02-01", "2026-03-01"],
    ],
)
def test_split_by_time_holds_out_the_latest(moments):
    frame = pd.DataFrame({"when": moments})
    spec = SplitSpec(type="time", column="when", test_size=0.4)

    mask = held_out(frame, np.array([0, 1, 0, 1, 0]), spec, NONE)

    assert mask.tolist() == [True, False, True, False, False]


def test_rows_of_one_moment_stay_together():
    frame = pd.DataFrame({"when": [1, 1, 2, 3, 3]})
    spec = SplitSpec(type="time", column="when", test_size=0.2)

    assert held_out(frame, np.array([0, 1, 0, 1, 0]), spec, NONE).sum() == 2


@pytest.mark.parametrize(
    "moments, y, message",
    [
        (["soon", "later"], [0, 1], "must hold numbers or ISO dates"),
        ([np.nan, np.nan], [0, 1], "column 'when' has no value"),
        ([1, 1], [0, 1], "gives 0 training rows and 2 test rows"),
        ([1, 2, 3], [0, 0, 1], "leaves no row of the class 1 to train on"),
    ],
)
def test_a_split_that_nothing_could_be_learnt_from_is_refused(moments, y, message):
    spec = SplitSpec(type="time", column="when", test_size=0.2)

    with pytest.raises(SplitError, match=message):
        held_out(pd.DataFrame({"when": moments}), np.array(y), spec, NONE)


def test_a_missing_time_column_is_named():
    spec = SplitSpec(type="time", column="day")

    with pytest.raises(
        SplitError, match="needs the column 'day'; the data has a, b, c"
    ):
        held_out(*rows(10), spec, NONE)


def test_given_test_rows_come_behind_the_training_rows():
    train = pd.DataFrame({"a": [1, 2], "c": pd.Categorical(["x", "y"])})
    test = pd.DataFrame({"c": pd.Categorical(["z"]), "a": [3], "more": [0]})

    both, mask = with_test_rows(train, test)

    assert both["a"].tolist() == [1, 2, 3]
    assert both["c"].tolist() == ["x", "y", "z"]
    assert both["c"].dtype == "category"
    assert mask.tolist() == [False, False, True]


def test_test_rows_without_a_column_are_refused():
    with pytest.raises(SplitError, match="have no column 'b'; theirs are a"):
        with_test_rows(pd.DataFrame({"a": [1], "b": [1]}), pd.DataFrame({"a": [1]}))


def test_a_split_by_file_needs_its_rows():
    spec = SplitSpec(type="file", source=SourceSpec(type="csv", path="test.csv"))

    with pytest.raises(SplitError, match="use with_test_rows"):
        held_out(*rows(10), spec, NONE)


@pytest.mark.parametrize(
    "held, positive, message",
    [
        (9, 4, "gives 9 test rows of 100, expected at least 10 .split.minimum.rows"),
        (20, 1, "gives 1 test row of the class 1, expected at least 2"),
        (20, 20, "gives 0 test rows of the class 0, expected at least 2"),
        (10, 2, None),
    ],
)
def test_too_few_test_rows_are_refused(held, positive, message):
    mask, y = np.arange(100) < held, (np.arange(100) < positive).astype(np.int64)
    minimum = MinimumSpec(rows=10, of_class=2)

    if message is None:
        check_minimum(mask, y, minimum)
        return
    with pytest.raises(SplitError, match=message):
        check_minimum(mask, y, minimum)
