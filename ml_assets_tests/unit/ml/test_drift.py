"""Drift of a window against the reference profile."""

import json

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from ml_assets.ml import drift_measures as measure
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

    assert [c.column for c in report.columns if c.drifted] == ["probability"]
    assert report.columns[0].kind == "prediction"


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


def test_raw_reference_values_make_the_test_sharper():
    window = rows(13, 5_000, age=40.4)
    binned = compare(PROFILE, window)
    raw = compare(PROFILE, window, sample={"age": REFERENCE["age"]})

    def statistic(report):
        return next(c.statistic for c in report.columns if c.column == "age")

    expected = stats.ks_2samp(REFERENCE["age"], window["age"]).statistic
    assert statistic(raw) == pytest.approx(expected)
    assert statistic(binned) <= statistic(raw)


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


@pytest.mark.parametrize("n, m, shift", [(50, 80, 0.0), (300, 200, 0.3), (40, 900, 1)])
def test_the_kolmogorov_smirnov_test_agrees_with_scipy(n, m, shift):
    generator = np.random.default_rng(n)
    x = np.round(generator.normal(size=n), 1)
    y = np.round(generator.normal(shift, size=m), 1)
    expected = stats.ks_2samp(x, y, method="asymp")

    statistic, p_value = measure.ks_raw(np.append(x, np.nan), y)

    assert statistic == pytest.approx(expected.statistic)
    assert p_value == pytest.approx(expected.pvalue, rel=0.25, abs=0.02)


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
