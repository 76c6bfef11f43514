"""Expectations are named and checked without data."""

import pytest

from ml_assets.quality import expectation_names
from ml_assets.spec import expectation_library as library
from ml_assets.spec.expectations import ExpectationError, check_expectations


@pytest.mark.parametrize(
    "expectation, kwargs, name",
    [
        ("values_to_not_be_null", {"column": "age"}, "age_not_null"),
        (
            "values_to_be_between",
            {"column": "age", "min_value": 0, "max_value": 120},
            "age_between_0_and_120",
        ),
        (
            "values_to_be_between",
            {"column": "net", "min_value": -0.5},
            "net_at_least_minus_0_5",
        ),
        (
            "values_to_be_between",
            {"column": "net", "min_value": None, "max_value": 7},
            "net_at_most_7",
        ),
        (
            "values_to_be_in_set",
            {"column": "capital.gain", "value_set": [1]},
            "capital_gain_in_set",
        ),
        (
            "values_to_match_regex",
            {"column": "id", "regex": "^c", "mostly": 0.9},
            "id_match_regex_for_0_9",
        ),
        ("to_exist", {"column": "age"}, "age_exists"),
        (
            "value_lengths_to_equal",
            {"column": "a", "value": 3},
            "a_value_lengths_equal_3",
        ),
        (
            "pair_values_to_be_equal",
            {"column_A": "a", "column_B": "b"},
            "a_and_b_pair_values_equal",
        ),
    ],
)
def test_a_name_is_readable(expectation, kwargs, name):
    assert expectation_names([{f"expect_column_{expectation}": kwargs}]) == [name]


@pytest.mark.parametrize(
    "expectation, kwargs, name",
    [
        (
            "expect_table_row_count_to_be_between",
            {"min_value": 9},
            "row_count_at_least_9",
        ),
        ("expect_table_column_count_to_equal", {"value": 3}, "column_count_equal_3"),
        (
            "expect_table_columns_to_match_set",
            {"column_set": ["a"]},
            "columns_match_set",
        ),
        (
            "expect_compound_columns_to_be_unique",
            {"column_list": ["a", "b"]},
            "a_and_b_compound_columns_unique",
        ),
    ],
)
def test_a_name_without_a_single_column_says_what_is_checked(expectation, kwargs, name):
    assert expectation_names([{expectation: kwargs}]) == [name]


def test_names_are_unique_even_for_rules_that_read_alike():
    rule = {"expect_column_values_to_be_in_set": {"column": "a", "value_set": [1]}}
    names = expectation_names([rule, rule, rule])
    assert names == ["a_in_set", "a_in_set_2", "a_in_set_3"]


def test_a_name_is_fit_for_an_asset_check_whatever_the_column_is_called():
    rule = {
        "expect_column_values_to_not_be_null": {"column": "Größe (cm) " + "x" * 200}
    }
    (name,) = expectation_names([rule])
    assert name.replace("_", "").isalnum() and name.isascii() and len(name) <= 100


def test_right_expectations_are_accepted():
    check_expectations(
        [
            {"expect_table_row_count_to_be_between": {"min_value": 1}},
            {"expect_column_values_to_not_be_null": {"column": "age", "mostly": 0.9}},
        ]
    )


BETWEEN = "expect_column_values_to_be_between"


@pytest.mark.parametrize(
    "item, text",
    [
        (
            {"expect_column_values_to_be_betwen": {"column": "age"}},
            "expect_column_values_to_be_betwen: no such expectation; did you mean"
            " expect_column_values_to_be_between",
        ),
        ({"expect_nonsense": {}}, "expect_nonsense: no such expectation"),
        (
            {BETWEEN: {"colum": "age", "min_value": 1}},
            "does not take colum; did you mean column?; it takes column, mostly,",
        ),
        ({BETWEEN: {"min_value": 1}}, "needs column; it takes column, mostly,"),
        (
            {BETWEEN: {"column": "age", "min_value": "x"}},
            "min_value: value is not a valid float, found 'x'; it takes",
        ),
        (
            {BETWEEN: {"column": "age"}},
            "min_value and max_value cannot both be None; it takes",
        ),
        (
            {BETWEEN: {"column": "age", "min_value": 9, "max_value": 1}},
            "min_value 9 is above max_value 1",
        ),
        ({BETWEEN: None}, "keywords must be a mapping, found None; it takes column,"),
        (
            {"expect_column_values_to_not_be_null": {"column": "age", "mostly": 2}},
            "mostly must be between 0 and 1, found 2",
        ),
        (
            {"expect_column_values_to_match_regex": {"column": "id", "regex": "("}},
            "'(' is not a regular expression: missing )",
        ),
        (
            {"expect_column_values_to_be_in_set": {"column": "id", "value_set": "ab"}},
            "value_set: value is not a valid list, found 'ab'; it takes",
        ),
        (
            {
                "expect_column_values_to_not_be_null": {
                    "column": "a",
                    "result_format": 1,
                }
            },
            "does not take result_format; it takes column, mostly,",
        ),
        (
            {"expect_column_values_to_match_like_pattern": {"column": "id"}},
            "needs a SQL database, but the rows are a table in memory",
        ),
        ({BETWEEN: {}, "expect_b": {}}, "must be one expectation such as"),
        ("expect_b", "must be one expectation such as"),
    ],
)
def test_a_wrong_item_is_refused_with_its_position_and_what_is_taken(item, text):
    right = {"expect_column_to_exist": {"column": "age"}}
    with pytest.raises(ExpectationError) as caught:
        check_expectations([right, item])
    assert str(caught.value).startswith("expect[1] ")
    assert text in str(caught.value)


def test_every_wrong_item_is_reported_at_once():
    with pytest.raises(ExpectationError) as caught:
        check_expectations([{"expect_a": {}}, {"expect_b": {}}])
    assert [line[:9] for line in str(caught.value).splitlines()] == [
        "expect[0]",
        "expect[1]",
    ]


def test_the_expectations_that_need_a_database_are_known_to_great_expectations():
    library.great_expectations()
    for name in library.SQL_ONLY:
        assert library.expectation_class(name) is not None
    assert not library.SQL_ONLY & set(library.known_expectations())
