"""Drift of a window against the reference profile."""

import json

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from ml_assets.ml import two_sample as measure
from ml_assets.ml.drift import compare
from ml_assets.ml.profile import Profile, profile


def rows(seed, n, *, age=40.0, missing=0.0, jobs=(0.5, 0.3, 0.15, 0.05)):
    """Rows with a numeric, a lumpy, a categorical and a boolean column."""
    generator = np.random.default_rng(seed)
    names = ["clerk", "driver", "nurse", "pilot", "farmer"][: len(jobs)]
    ages = generator.normal(age, 10, n)
    ages[generator.random(n) < missing] = np.nan
    return pd.DataFrame(
        {
            "age": ages,
            "gain": np.where(generator.random(n) < 0.9, 0, generator.integers(1, 9, n)),
            "job": generator.choice(names, n, p=jobs),
            "owner": generator.random(n) < 0.4,
        }
    )


REFERENCE = rows(0, 20_000)
CHANCE = np.random.default_rng(1).beta(2, 5, 20_000)
PROFILE = profile(REFERENCE, CHANCE)


@pytest.mark.parametrize("n", [100, 200, 1_000, 10_000])
def test_windows_without_drift_raise_no_alarm(n):
    generator = np.random.default_rng(n)
    alarms = [
        compare(PROFILE, rows(seed, n), generator.beta(2, 5, n), alpha=0.05).drifted
        for seed in range(1, 41)
    ]

    assert sum(alarms) <= 4


@pytest.mark.parametrize(
    "change, drifted",
    [
        ({"age": 46.0}, ["age"]),
        ({"missing": 0.2}, ["age"]),
        ({"jobs": (0.2, 0.3, 0.15, 0.35)}, ["job"]),
        ({"jobs": (0.45, 0.28, 0.15, 0.05, 0.07)}, ["job"]),
        ({"age": 46.0, "jobs": (0.2, 0.3, 0.15, 0.35)}, ["age", "job"]),
    ],
    ids=["shift", "missing", "shares", "unseen", "two"],
)
@pytest.mark.parametrize("n", [500, 20_000])
def test_an_injected_change_is_found_in_its_column_and_no_other(change, drifted, n):
    report = compare(PROFILE, rows(7, n, **change))

    assert report.drifted
    assert sorted(c.column for c in report.columns if c.drifted) == drifted
    assert all(name in report.sentence for name in drifted)


def test_a_small_change_in_a_large_window_is_significant_and_no_drift():
    report = compare(PROFILE, rows(8, 200_000, age=40.8))
    age = next(c for c in report.columns if c.column == "age")

    assert age.p_adjusted < 1e-6
    assert not report.drifted


def test_a_change_of_the_predictions_alone_is_found():
    chance = np.random.default_rng(2).beta(3, 4, 2_000)

    report = compare(PROFILE, rows(9, 2_000), chance)

    drifted = [c for c in report.columns if c.drifted]
    assert {c.column for c in drifted} == {"probability", "predicted positive"}
    assert {c.kind for c in drifted} == {"prediction"}


def test_unseen_and_missing_values_have_groups_of_their_own():
    window = rows(10, 2_000, missing=0.1, jobs=(0.4, 0.3, 0.15, 0.05, 0.1))

    report = compare(PROFILE, window)

    columns = {c.column: c for c in report.columns}
    labels = {name: [g.label for g in c.groups] for name, c in columns.items()}
    assert "(unseen)" in labels["job"]
    assert "(missing)" in labels["age"]
    assert columns["job"].unseen == pytest.approx(0.1, abs=0.03)
    assert columns["age"].missing_window == pytest.approx(0.1, abs=0.03)
    assert columns["age"].missing_reference == 0
    for column in report.columns:
        assert sum(g.window for g in column.groups) == pytest.approx(1)
        assert sum(g.reference for g in column.groups) == pytest.approx(1)


@pytest.mark.parametrize("dtype", ["category", "object", "str"])
def test_strings_are_compared_alike_whatever_pandas_keeps_them_in(dtype):
    window = rows(11, 1_000, jobs=(0.3, 0.3, 0.2, 0.2))
    expected = compare(PROFILE, window)

    found = compare(PROFILE, window.astype({"job": dtype}))

    assert found == expected


@pytest.mark.parametrize("n", [0, 1, 99])
def test_too_few_rows_are_no_verdict(n):
    report = compare(PROFILE, rows(12, n, age=90.0))

    assert not report.enough
    assert not report.drifted
    assert f"{n} rows are too few to tell; 100 are needed" in report.sentence


def test_the_report_is_json_and_largest_drift_comes_first():
    report = compare(PROFILE, rows(14, 1_000, age=50.0))

    value = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert value["columns"][0]["column"] == "age"
    assert value["sentence"].startswith("1 of 4 columns drifted over 1,000 rows: age")


@pytest.mark.parametrize(
    "column, content, error, message",
    [
        ("age", None, KeyError, "no column 'age'"),
        ("age", "old", ValueError, "column age: the profile has numbers"),
    ],
)
def test_a_window_that_cannot_be_compared_is_refused(column, content, error, message):
    window = rows(15, 200)
    if content is None:
        window = window.drop(columns=column)
    else:
        window[column] = content

    with pytest.raises(error, match=message):
        compare(PROFILE, window)


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame({"x": [1.0] * 300}),
        pd.DataFrame({"x": [np.nan] * 300}),
        pd.DataFrame({"x": ["only"] * 300}),
        pd.DataFrame({"x": [np.inf, -np.inf, 0.0] * 100}),
    ],
    ids=["constant", "all missing", "one category", "infinite"],
)
def test_columns_without_variety_do_not_drift_from_themselves(frame):
    reference = profile(frame, np.full(300, 0.5))

    report = compare(reference, frame, np.full(300, 0.5))

    assert not report.drifted
    json.dumps(report.to_dict(), allow_nan=False)


def test_a_column_that_loses_all_values_drifts():
    report = compare(PROFILE, rows(16, 500, missing=1.1))

    assert [c.column for c in report.columns if c.drifted] == ["age"]


def test_a_profile_read_from_json_compares_alike():
    read = Profile.from_dict(json.loads(json.dumps(PROFILE.to_dict())))

    assert compare(read, rows(17, 300)) == compare(PROFILE, rows(17, 300))


def test_the_chi_squared_test_agrees_with_scipy():
    table = np.array([[120.0, 80, 40], [50, 60, 10]])
    expected = stats.chi2_contingency(table, correction=False)

    assert measure.chi_squared(*table) == pytest.approx(
        (expected.statistic, expected.pvalue)
    )


@pytest.mark.parametrize(
    "p_values, adjusted",
    [
        ([], []),
        ([0.2], [0.2]),
        ([0.01, 0.04, 0.03], [0.03, 0.06, 0.06]),
        ([0.5, 0.9, 0.001], [1.0, 1.0, 0.003]),
    ],
)
def test_p_values_are_adjusted_by_holm(p_values, adjusted):
    assert measure.holm(p_values) == pytest.approx(adjusted)


@pytest.mark.parametrize("n", [150, 1_000])
def test_the_noise_of_psi_is_its_mean_without_drift(n):
    generator = np.random.default_rng(3)
    reference = np.full(10, 1_000.0)
    windows = generator.multinomial(n, [0.1] * 10, size=2_000).astype(float)
    references = generator.multinomial(10_000, [0.1] * 10, size=2_000).astype(float)

    mean = np.mean([measure.psi(r, w) for r, w in zip(references, windows)])

    assert mean == pytest.approx(measure.psi_noise(reference, windows[0]), rel=0.1)


@pytest.mark.parametrize("counts", [[0.0, 0, 0], [1000.0, 1, 1], [3.0, 3, 3], [9.0]])
def test_rare_cells_are_merged_until_a_group_can_be_judged(counts):
    reference = np.array(counts)

    groups = measure.merge_rare(reference, reference)

    merged = measure.summed(reference, groups)
    assert groups[0] == 0
    assert set(np.diff(groups)) <= {0, 1}
    assert len(merged) == 1 or merged.min() >= 5


def test_jensen_shannon_is_bounded_by_nothing_and_everything_in_common():
    apart = measure.jensen_shannon(np.array([10**6, 0.0]), np.array([0.0, 10**6]))

    assert measure.jensen_shannon(np.array([3.0, 7]), np.array([30.0, 70])) < 1e-3
    assert apart == pytest.approx(1, abs=1e-4)


def zipf(generator, categories, n):
    """Rows of a column with a long tail."""
    chance = 1 / np.arange(1, categories + 1)
    values = generator.choice(categories, n, p=chance / chance.sum())
    return pd.DataFrame({"code": values.astype(str)})


def one(generator, share, n):
    """Rows of a column that is one with a chance, else zero."""
    return pd.DataFrame({"flag": (generator.random(n) < share).astype(float)})


@pytest.mark.slow
@pytest.mark.parametrize("categories", [2, 30, 300, 5_000])
@pytest.mark.parametrize("of_reference", [2_000, 10_000])
@pytest.mark.parametrize("n", [100, 1_000])
def test_a_long_tail_of_categories_raises_no_alarm(categories, of_reference, n):
    generator = np.random.default_rng(categories + n)
    alarms = surprises = 0
    for turn in range(40):
        if turn % 10 == 0:
            reference = profile(zipf(generator, categories, of_reference), CHANCE)
        report = compare(reference, zipf(generator, categories, n))
        alarms += report.drifted
        surprises += report.columns[0].p_adjusted <= 0.01

    # Of 40 windows at a rate of .01, more than four are a chance of one in 15,000.
    assert alarms == 0
    assert surprises <= 4


@pytest.mark.parametrize(
    "before, after",
    [
        ([1.0] * 990 + [0.0] * 10, [0.0] * 1_000),
        ([1.0] * 1_000, [0.0] * 500 + [1.0] * 500),
        ([1.0] * 1_000, [2.0] * 500 + [1.0] * 500),
        ([0.0, 1.0] * 500, [0.5] * 200 + [0.0, 1.0] * 400),
        ([0.0] * 900 + [*range(1, 101)], [0.0] * 700 + [*range(1, 101)] * 3),
        ([*range(1_000)], [*range(1_000, 1_100)] + [*range(900)]),
        ([*range(1_000)], [*range(-100, 0)] + [*range(100, 1_000)]),
        ([f"c{n % 4}" for n in range(1_000)], [f"x{n}" for n in range(300)]),
        ([*range(9)] * 100, [np.nan] * 200 + [*range(9)] * 80),
    ],
    ids=[
        "nearly always one, then zero",
        "a constant that begins to vary downwards",
        "a constant that begins to vary upwards",
        "a value between two",
        "a value that most rows hold becomes rarer",
        "beyond the largest",
        "below the smallest",
        "a closed list, then names",
        "a wave of missing values",
    ],
)
def test_what_a_bin_could_hide_is_found(before, after):
    reference = profile(pd.DataFrame({"a": before}), CHANCE)

    assert compare(reference, pd.DataFrame({"a": after})).drifted


def test_an_integer_category_is_known_although_one_is_missing():
    codes = np.arange(1_000) % 7
    reference = profile(pd.DataFrame({"a": pd.Categorical(codes)}), CHANCE)
    window = pd.Series(codes.astype(float))
    window[0] = np.nan

    report = compare(reference, pd.DataFrame({"a": window}))

    assert report.columns[0].unseen == 0
    assert not report.drifted


def test_one_odd_row_of_a_hundred_is_no_drift_though_the_reference_is_large():
    reference = profile(pd.DataFrame({"a": ["x", "y"] * 50_000}), CHANCE)
    window = pd.DataFrame({"a": ["x", "y"] * 50 + ["z"]})

    assert not compare(reference, window).drifted


@pytest.mark.parametrize("rate, found", [(0.01, False), (0.03, True), (0.002, True)])
def test_the_rate_of_a_rare_class_is_watched_by_itself(rate, found):
    generator = np.random.default_rng(4)

    def predicted(share, n):
        return np.where(generator.random(n) < share, 0.9, generator.random(n) / 20)

    reference = profile(one(generator, 0.5, 20_000), predicted(0.01, 20_000))

    report = compare(reference, one(generator, 0.5, 5_000), predicted(rate, 5_000))

    named = [column.column for column in report.columns if column.drifted]
    assert named == (["predicted positive"] if found else [])


def test_a_column_that_is_ignored_is_not_compared_and_need_not_be_there():
    window = rows(18, 500, age=60.0)

    report = compare(PROFILE, window.drop(columns="age"), ignore=["age"])

    assert [c.column for c in report.columns if c.column == "age"] == []
    assert not report.drifted


@pytest.mark.parametrize(
    "before, after, hint",
    [
        ([*range(1, 13)] * 100, [3] * 500, "it looks like a season"),
        ([f"m{n % 12}" for n in range(1_200)], ["m3"] * 500, "it looks like a season"),
        ([*range(1_000)], [*range(1_000, 1_500)], "it grows with time or is a name"),
        ([1.0, 0.0] * 500, [1.0] * 500, ""),
    ],
    ids=["month", "name of a month", "counter", "a flag that is always set"],
)
def test_a_report_says_where_a_column_moves_by_itself(before, after, hint):
    reference = profile(pd.DataFrame({"a": before}), CHANCE)

    report = compare(reference, pd.DataFrame({"a": after}))

    assert report.drifted
    assert report.columns[0].hint == hint
    assert ("monitoring.ignore" in report.sentence) == bool(hint)


def people(seed, n, kind):
    """Rows of a table that different columns distinguish."""
    random = np.random.default_rng(seed)
    job = random.choice(["clerk", "nurse", "pilot"], n, p=[0.6, 0.3, 0.1])
    owner = random.random(n) < 0.9
    if kind == "one distinct number":
        return pd.DataFrame({"fee": random.gamma(2, 20, n), "owner": owner})
    if kind == "numbers":
        return pd.DataFrame(random.normal(size=(n, 4)), columns=[*"abcd"])
    whole = {name: random.integers(18, 90, n) for name in ("age", "hours", "tenure")}
    return pd.DataFrame({**whole, "job": job, "owner": owner})


KINDS = ["one distinct number", "numbers", "whole numbers and categories"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "repeat",
    [
        lambda rows, n, _: rows[:100].loc[lambda frame: frame.index.repeat(20)],
        lambda rows, n, _: rows[:500].sample(2_000, replace=True, random_state=1),
        lambda rows, n, _: pd.concat([rows, rows[:60], rows[:60], rows[:60]]),
    ],
    ids=["each twenty times", "drawn again", "some thrice"],
)
def test_rows_that_are_sent_again_raise_no_alarm(kind, repeat):
    reference = people(0, 20_000, kind)
    found = profile(reference, np.full(1, 0.5))

    reports = [
        compare(found, repeat(people(seed, 2_000, kind), 2_000, seed), alpha=0.01)
        for seed in range(1, 41)
    ]

    assert sum(report.drifted for report in reports) <= 1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rows", [300, 2_000, 20_000])
@pytest.mark.parametrize(
    "break_it",
    [
        lambda column: 0,
        lambda column: np.nan,
        lambda column: column.where(np.arange(len(column)) % 5 > 0, 0),
        lambda column: column.where(np.arange(len(column)) % 3 > 0),
        lambda column: (column // 20) * 20 if column.max() > 20 else column.round(),
    ],
    ids=["one value", "none", "a fifth of zeros", "a third missing", "rounded"],
)
def test_a_column_that_loses_its_values_is_no_repetition(kind, rows, break_it):
    found = profile(people(0, 20_000, kind), np.full(1, 0.5))
    window = people(5, rows, kind)
    name = window.columns[0]

    report = compare(found, window.assign(**{name: break_it(window[name])}))

    assert [c.column for c in report.columns if c.drifted] == [name], report.sentence
    assert report.rows_counted > 0.9 * rows


def test_an_entity_with_many_requests_is_one_witness():
    reference = people(0, 20_000, "numbers")
    found = profile(reference, np.full(1, 0.5))
    window = people(1, 2_000, "numbers")
    # Half of the requests are one person's, each with other values.
    window.loc[1_000:, "a"] += 3
    entities = [f"e{number}" for number in range(1_000)] + ["busy"] * 1_000

    assert compare(found, window).drifted
    report = compare(found, window, entities=entities)

    assert not report.drifted
    assert "2,000 rows (1,001 without repetitions)" in report.sentence


def test_one_row_that_is_asked_for_all_the_time_does_not_blind():
    reference = people(0, 20_000, "whole numbers and categories")
    found = profile(reference, np.full(1, 0.5))
    window = people(1, 2_000, "whole numbers and categories")
    window.loc[1_200:] = window.loc[0].to_list()
    window = window.astype(reference.dtypes)
    window.loc[:1_199, "age"] += 40

    report = compare(found, window)

    assert report.enough
    assert "age" in [c.column for c in report.columns if c.drifted]


def test_a_profile_without_counts_of_rows_alike_compares_all_rows():
    value = profile(people(0, 5_000, "numbers"), np.full(1, 0.5)).to_dict()
    old = json.loads(json.dumps(value))
    assert Profile.from_dict(old).alike is not None
    del old["alike"]
    window = people(1, 200, "numbers").iloc[np.arange(400) % 200]

    report = compare(Profile.from_dict(old), window)

    assert report.rows_counted == report.rows_window == 400


def test_a_column_that_was_added_later_has_not_drifted():
    rng = np.random.default_rng(5)
    before = pd.DataFrame(
        {
            "price": rng.normal(10, 2, 2_000),
            "paid": rng.choice(["card", "cash"], 2_000, p=[0.7, 0.3]),
        }
    )
    before.loc[:1_800, ["price", "paid"]] = None
    reference = profile(before, np.full(2_000, 0.5))
    window = pd.DataFrame(
        {
            "price": rng.normal(10, 2, 500),
            "paid": rng.choice(["card", "cash"], 500, p=[0.7, 0.3]),
        }
    )

    assert compare(reference, window).sentence.startswith("none of 2 columns")
    # Nor has a later table, in which fewer rows are of the time before.
    whole = pd.concat([before, window], ignore_index=True)
    assert compare(reference, whole).sentence.startswith("none of 2 columns")
    # Its values and its missing rows are compared as those of any other.
    window["price"] += 2
    window.loc[rng.random(500) < 0.3, "paid"] = None
    found = compare(reference, window)
    assert {column.column for column in found.columns if column.drifted} == {
        "price",
        "paid",
    }


def test_a_table_that_is_sorted_by_a_column_has_not_drifted():
    rng = np.random.default_rng(6)
    values = rng.normal(0, 1, 3_000)
    values[rng.random(3_000) < 0.4] = np.nan
    before = pd.DataFrame({"last": np.sort(values)[::-1]})
    after = pd.DataFrame({"last": rng.permutation(values)[:600]})

    found = compare(profile(before, np.full(3_000, 0.5)), after)

    assert not found.drifted
