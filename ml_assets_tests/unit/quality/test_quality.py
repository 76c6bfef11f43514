"""Expectations evaluated on tables: verdicts, counts, examples and sentences."""

import gc
import json
import threading
import weakref

import numpy as np
import pandas as pd
import pytest

from ml_assets.quality import run_expectations
from ml_assets.spec.expectations import ExpectationError

JOBS = ["Private", "Self", "Private", None, "Gov", "Private"]


def people(strings: str = "category") -> pd.DataFrame:
    """Six rows with strings of one type, a missing value in each column but one."""
    frame = pd.DataFrame(
        {
            "age": [17.0, 39.0, 999.0, None, -1.0, 50.0],
            "job": pd.Series(JOBS).astype(strings),
            "home": pd.Series(["x", "y", "z", "q", None, "x"]).astype(strings),
            "married": [True, False, True, True, False, True],
        }
    )
    if strings == "category":
        frame["job"] = frame["job"].cat.add_categories(["Unused"])
    return frame


def run(expectation: str, frame: pd.DataFrame | None = None, **kwargs):
    """The outcome of one expectation."""
    table = people() if frame is None else frame
    (outcome,) = run_expectations(table, [{expectation: kwargs}])
    return outcome


# Expectation without its first words, keywords, verdict, unexpected count, message.
ON_VALUES = [
    (
        "values_to_be_between",
        {"column": "age", "min_value": 0, "max_value": 120},
        2,
        "column age: 2 of 5 values are outside 0..120, e.g. 999, -1",
    ),
    (
        "values_to_be_between",
        {"column": "age", "min_value": 0},
        1,
        "column age: 1 of 5 values are below 0, e.g. -1",
    ),
    (
        "values_to_be_between",
        {"column": "age", "max_value": 120},
        1,
        "column age: 1 of 5 values are above 120, e.g. 999",
    ),
    (
        "values_to_be_between",
        {"column": "age", "min_value": -1, "max_value": 999},
        0,
        "column age: all values are within -1..999",
    ),
    (
        "values_to_be_between",
        {"column": "age", "min_value": -1, "max_value": 999, "strict_min": True},
        1,
        "column age: 1 of 5 values are outside -1..999 (ends excluded), e.g. -1",
    ),
    (
        "values_to_be_between",
        {"column": "age", "min_value": 0, "max_value": 120, "mostly": 0.9},
        2,
        "column age: 2 of 5 values are outside 0..120, e.g. 999, -1 (at most 10 % may)",
    ),
    (
        "values_to_not_be_null",
        {"column": "age"},
        1,
        "column age: 1 of 6 values are missing",
    ),
    (
        "values_to_not_be_null",
        {"column": "married"},
        0,
        "column married: all values are not missing",
    ),
    (
        "values_to_be_in_set",
        {"column": "job", "value_set": ["Private"]},
        2,
        "column job: 2 of 5 values are not one of Private, e.g. Self, Gov",
    ),
    (
        "values_to_be_in_set",
        {"column": "job", "value_set": ["Private", "Self", "Gov"]},
        0,
        "column job: all values are one of Private, Self, Gov",
    ),
    (
        "values_to_be_in_set",
        {"column": "married", "value_set": [True]},
        2,
        "column married: 2 of 6 values are not one of true, e.g. false",
    ),
    (
        "values_to_not_be_in_set",
        {"column": "job", "value_set": ["Private"]},
        3,
        "column job: 3 of 5 values are one of Private, e.g. Private",
    ),
    (
        "values_to_be_unique",
        {"column": "job"},
        3,
        "column job: 3 of 5 values are not unique, e.g. Private",
    ),
    (
        "values_to_match_regex",
        {"column": "job", "regex": "^P"},
        2,
        "column job: 2 of 5 values do not match ^P, e.g. Self, Gov",
    ),
    (
        "values_to_not_match_regex",
        {"column": "job", "regex": "^P"},
        3,
        "column job: 3 of 5 values match ^P, e.g. Private",
    ),
    (
        "value_lengths_to_be_between",
        {"column": "job", "min_value": 4, "max_value": 9},
        1,
        "column job: 1 of 5 values are outside 4..9 characters long, e.g. Gov",
    ),
    (
        "values_to_be_of_type",
        {"column": "job", "type_": "str"},
        0,
        "column job: all values are of type str",
    ),
    (
        "values_to_be_in_type_list",
        {"column": "job", "type_list": ["str", "object"]},
        0,
        "column job: all values are of type str, object",
    ),
    (
        "pair_values_to_be_equal",
        {"column_A": "job", "column_B": "home"},
        6,
        "columns job, home: 6 of 6 rows do not pass"
        " expect_column_pair_values_to_be_equal, e.g. (Private, x), (Self, y),"
        " (Private, z), (null, q), (Gov, null)",
    ),
    (
        "value_z_scores_to_be_less_than",
        {"column": "age", "threshold": 1, "double_sided": True},
        1,
        "column age: 1 of 5 values do not pass"
        " expect_column_value_z_scores_to_be_less_than"
        " (threshold=1, double_sided=true), e.g. 999",
    ),
]


@pytest.mark.parametrize("strings", ["object", "str", "category"])
@pytest.mark.parametrize("rule, kwargs, count, message", ON_VALUES)
def test_a_rule_on_values_counts_what_breaks_it(strings, rule, kwargs, count, message):
    outcome = run(f"expect_column_{rule}", people(strings), **kwargs)
    assert (outcome.message, outcome.unexpected_count) == (message, count)
    assert outcome.passed is (count == 0)
    assert outcome.error is None


ON_WHOLE = [
    (
        "column_mean_to_be_between",
        {"column": "age", "min_value": 0, "max_value": 120},
        False,
        "column age: mean expected to be between 0 and 120, found 220.8",
    ),
    (
        "column_max_to_be_between",
        {"column": "age", "min_value": 0},
        True,
        "column age: max expected to be at least 0, as found",
    ),
    (
        "column_distinct_values_to_be_in_set",
        {"column": "job", "value_set": ["Private", "Self"]},
        False,
        "column job: distinct values expected to be in set Private, Self,"
        " unexpected Gov",
    ),
    (
        "column_distinct_values_to_equal_set",
        {"column": "job", "value_set": ["Private", "Self", "Gov"]},
        True,
        "column job: distinct values expected to equal set Private, Self, Gov,"
        " as found",
    ),
    (
        "column_distinct_values_to_contain_set",
        {"column": "job", "value_set": ["Unused"]},
        False,
        "column job: distinct values expected to contain set Unused;"
        " it does not hold",
    ),
    (
        "column_unique_value_count_to_be_between",
        {"column": "job", "min_value": 4},
        False,
        "column job: unique value count expected to be at least 4, found 3",
    ),
    (
        "column_type_to_be",
        {"column": "job", "type_": "str"},
        True,
        "column job: type expected to be str, as found",
    ),
    (
        "column_quantile_values_to_be_between",
        {
            "column": "age",
            "quantile_ranges": {"quantiles": [0.5], "value_ranges": [[0, 1]]},
        },
        False,
        "column age: quantile values expected to be between quantiles=(0.5),"
        " value_ranges=((0, 1)), found quantiles=(0.5), values=(39)",
    ),
    (
        "column_to_exist",
        {"column": "age"},
        True,
        "column age: expected to exist, as found",
    ),
    (
        "column_to_exist",
        {"column": "wage"},
        False,
        "column wage: expected to exist; it does not hold",
    ),
    (
        "table_row_count_to_be_between",
        {"min_value": 10},
        False,
        "the table: row count expected to be at least 10, found 6",
    ),
    (
        "table_columns_to_match_set",
        {"column_set": ["age", "wage"]},
        False,
        "the table: columns expected to match set age, wage,"
        " found age, home, job, married",
    ),
]


@pytest.mark.parametrize("strings", ["object", "str", "category"])
@pytest.mark.parametrize("rule, kwargs, passed, message", ON_WHOLE)
def test_a_rule_on_the_whole_says_what_it_found(strings, rule, kwargs, passed, message):
    outcome = run(f"expect_{rule}", people(strings), **kwargs)
    assert (outcome.message, outcome.passed) == (message, passed)
    assert outcome.unexpected_count is None


def test_values_that_mostly_lets_pass_are_still_counted():
    outcome = run(
        "expect_column_values_to_be_between", column="age", min_value=0, mostly=0.5
    )
    assert outcome.passed
    assert (outcome.unexpected_count, outcome.unexpected_percent) == (1, 20.0)
    assert outcome.examples == (-1.0,)
    assert outcome.message == (
        "column age: all values are at least 0 but 1, which mostly 0.5 allows"
    )


def test_examples_are_distinct_and_no_more_than_asked_for():
    frame = pd.DataFrame({"n": [1, 1, 2, 2, 3, 3, 4, 4]})
    rule = {"expect_column_values_to_be_between": {"column": "n", "max_value": 0}}
    (outcome,) = run_expectations(frame, [rule], examples=3)
    assert outcome.examples == (1, 2, 3)
    assert outcome.unexpected_count == 8


def test_outcomes_come_in_the_order_of_the_yaml_with_equal_rules_kept_apart():
    missing = {"expect_column_values_to_not_be_null": {"column": "age"}}
    rules = [
        {"expect_column_max_to_be_between": {"column": "age", "max_value": 1}},
        missing,
        {"expect_table_row_count_to_equal": {"value": 6}},
        {"expect_column_values_to_be_unique": {"column": "wage"}},
        missing,
    ]
    outcomes = run_expectations(people(), rules)
    assert [outcome.name for outcome in outcomes] == [
        "age_max_at_most_1",
        "age_not_null",
        "row_count_equal_6",
        "wage_unique",
        "age_not_null_2",
    ]
    assert [outcome.passed for outcome in outcomes] == [
        False,
        False,
        True,
        False,
        False,
    ]


@pytest.mark.parametrize(
    "frame, column, reason",
    [
        (people(), "agee", "agee is not in the data; did you mean age?"),
        (people(), "q", "q is not in the data, which has age, job, home, married"),
        (pd.DataFrame(), "age", "age is not in the data, which has no column"),
        (
            pd.DataFrame([[1, 2]], columns=["age", "age"]),
            "age",
            "age occurs 2 times in the data",
        ),
    ],
)
def test_a_column_that_cannot_be_read_fails_its_rules_clearly(frame, column, reason):
    outcome = run("expect_column_values_to_not_be_null", frame, column=column)
    assert not outcome.passed
    assert outcome.error == reason
    assert outcome.message == f"column {column}: {reason}"


def test_a_rule_that_does_not_fit_the_data_fails_with_the_reason_and_spares_others():
    rules = [
        {"expect_column_mean_to_be_between": {"column": "job", "min_value": 0}},
        {"expect_column_values_to_not_be_null": {"column": "married"}},
    ]
    broken, sound = run_expectations(people(), rules)
    assert not broken.passed and broken.unexpected_count is None
    assert "cannot be evaluated: 'Categorical'" in broken.message
    assert sound.passed


def test_a_rule_that_breaks_great_expectations_spares_the_others():
    rules = [
        {"expect_column_values_to_not_be_null": {"column": "married"}},
        {
            "expect_column_kl_divergence_to_be_less_than": {
                "column": "age",
                "partition_object": {},
                "threshold": 0.1,
            }
        },
        {"expect_column_values_to_not_be_null": {"column": "age"}},
    ]
    sound, broken, failed = run_expectations(people(), rules)
    assert sound.passed
    assert "cannot be evaluated: Invalid partition_object" in broken.message
    assert failed.message == "column age: 1 of 6 values are missing"


@pytest.mark.parametrize(
    "rule, kwargs, passed",
    [
        ("column_values_to_not_be_null", {"column": "age"}, True),
        ("column_values_to_be_in_set", {"column": "job", "value_set": ["x"]}, True),
        ("column_mean_to_be_between", {"column": "age", "min_value": 0}, False),
        ("table_row_count_to_be_between", {"min_value": 1}, False),
    ],
)
def test_no_row_breaks_no_rule_on_rows(rule, kwargs, passed):
    outcome = run(f"expect_{rule}", people().head(0), **kwargs)
    assert outcome.passed is passed and outcome.error is None
    assert outcome.unexpected_percent in (0.0, None)


def test_no_expectations_give_no_outcomes():
    assert run_expectations(people(), []) == []


def test_a_wrong_expectation_is_an_error_of_the_yaml_and_not_of_the_data():
    with pytest.raises(ExpectationError, match=r"expect\[0\] expect_nonsense"):
        run_expectations(people(), [{"expect_nonsense": {"column": "age"}}])


def test_the_table_is_not_changed():
    frame, before = people("str"), people("str")
    run("expect_column_values_to_be_of_type", frame, column="job", type_="str")
    run("expect_column_values_to_be_unique", frame, column="job")
    pd.testing.assert_frame_equal(frame, before)


def test_examples_and_observations_are_json():
    frame = pd.DataFrame({"n": np.array([np.inf, 1.0, np.nan], dtype="float32")})
    rules = [
        {"expect_column_values_to_be_between": {"column": "n", "max_value": 0}},
        {"expect_column_max_to_be_between": {"column": "n", "max_value": 0}},
    ]
    for outcome in run_expectations(frame, rules):
        json.dumps([outcome.examples, outcome.observed], allow_nan=False)


def test_no_table_is_held_after_its_run():
    frame = people()
    gone = weakref.ref(frame)
    run("expect_column_values_to_not_be_null", frame, column="age")
    del frame
    gc.collect()
    assert gone() is None


def test_two_threads_get_their_own_results():
    seen: dict[int, list[int | None]] = {}

    def work(rows: int) -> None:
        frame = pd.DataFrame({"n": range(rows)})
        rule = {"expect_column_values_to_be_null": {"column": "n"}}
        seen[rows] = [
            run_expectations(frame, [rule])[0].unexpected_count for _ in range(5)
        ]

    threads = [threading.Thread(target=work, args=(rows,)) for rows in (3, 7)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == {3: [3] * 5, 7: [7] * 5}
