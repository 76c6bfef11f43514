"""What a rule compares is of one type: dates however they come, numbers, truths."""

import datetime as dt
import itertools
from typing import Any

import pandas as pd
import pytest

from ml_assets.ml.tables import tidy
from ml_assets.quality import run_expectations
from ml_assets.spec.expectations import ExpectationError

DAYS = ["2019-12-31", "2021-05-05", None, "2026-01-01"]
FIRST, LAST = dt.date(2020, 1, 1), dt.date(2026, 1, 1)
# A column of dates as sources give it, and as the tidy table holds it.
COLUMNS = {
    "texts": pd.Series(DAYS),
    "categories": pd.Series(DAYS).astype("category"),
    "times": pd.to_datetime(pd.Series(DAYS)),
    "times in UTC": pd.to_datetime(pd.Series(DAYS), utc=True),
    "times with a zone": pd.to_datetime(pd.Series(DAYS)).dt.tz_localize("Etc/GMT-1"),
    "dates": pd.Series([d and dt.date.fromisoformat(d) for d in DAYS], dtype=object),
    "texts with times": pd.Series([d and f"{d}T00:00:00+00:00" for d in DAYS]),
    "texts with blanks": pd.Series([d and f"{d} 00:00" for d in DAYS]),
}
# As YAML gives them, as JSON keeps them, and with times.
ENDS = {
    "dates": (FIRST, LAST),
    "texts": ("2020-01-01", "2026-01-01"),
    "times": (dt.datetime(2020, 1, 1), dt.datetime(2026, 1, 1, tzinfo=dt.UTC)),
}


def run(frame: pd.DataFrame, rule: str, **kwargs: Any) -> Any:
    (outcome,) = run_expectations(frame, [{f"expect_column_{rule}": kwargs}])
    return outcome


@pytest.mark.parametrize("is_tidy", [True, False], ids=["tidy", "as read"])
@pytest.mark.parametrize(
    "column, ends", itertools.product(COLUMNS, ENDS), ids=lambda name: str(name)
)
def test_a_range_of_dates_is_evaluated(column, ends, is_tidy):
    frame = pd.DataFrame({"signup": COLUMNS[column]})
    low, high = ENDS[ends]

    outcome = run(
        tidy(frame) if is_tidy else frame,
        "values_to_be_between",
        column="signup",
        min_value=low,
        max_value=high,
    )

    assert (outcome.passed, outcome.error) == (False, None)
    assert outcome.unexpected_count == 1
    assert str(outcome.examples[0]).startswith(("2019-12-31", "2019-12-30T23"))


Y, D = dt.date, "day"
RULES = [
    ("values_to_be_between", {"min_value": Y(2019, 12, 31)}, True),
    ("values_to_be_between", {"max_value": LAST, "strict_max": True}, False),
    ("values_to_be_between", {"max_value": LAST, "strict_min": True}, True),
    ("values_to_be_between", {"min_value": FIRST, "mostly": 0.6}, True),
    ("min_to_be_between", {"min_value": Y(2019, 12, 31)}, True),
    ("min_to_be_between", {"min_value": FIRST}, False),
    ("min_to_be_between", {"min_value": Y(2019, 12, 31), "strict_min": True}, False),
    ("max_to_be_between", {"max_value": LAST}, True),
    ("max_to_be_between", {"max_value": Y(2025, 12, 31)}, False),
    ("median_to_be_between", {"min_value": FIRST, "max_value": LAST}, True),
    ("mean_to_be_between", {"max_value": FIRST}, False),
    (
        "quantile_values_to_be_between",
        {"quantile_ranges": {"quantiles": [0.5], "value_ranges": [[FIRST, LAST]]}},
        True,
    ),
    ("values_to_be_in_set", {"value_set": [Y(2021, 5, 5), LAST]}, False),
    ("values_to_be_in_set", {"value_set": ["2019-12-31", Y(2021, 5, 5), LAST]}, True),
    ("values_to_not_be_in_set", {"value_set": [Y(2021, 5, 5)]}, False),
    ("values_to_not_be_in_set", {"value_set": [Y(2022, 5, 5), "unknown"]}, True),
    ("distinct_values_to_contain_set", {"value_set": [LAST]}, True),
    ("distinct_values_to_contain_set", {"value_set": [FIRST]}, False),
    ("distinct_values_to_be_in_set", {"value_set": [FIRST]}, False),
    ("most_common_value_to_be_in_set", {"value_set": [LAST], "ties_okay": True}, True),
    ("values_to_be_between", {"min_value": 2020}, "min_value 2020 is none such as"),
]


@pytest.mark.parametrize("rule, kwargs, verdict", RULES)
@pytest.mark.parametrize("column", ["categories", "times in UTC"])
def test_rules_on_dates_decide(column, rule, kwargs, verdict):
    frame = tidy(pd.DataFrame({"day": COLUMNS[column]}))

    outcome = run(frame, rule, column="day", **kwargs)

    if isinstance(verdict, str):
        assert not outcome.passed and verdict in outcome.error
    else:
        assert (outcome.passed, outcome.error) == (verdict, None)


@pytest.mark.parametrize(
    "values, reason",
    [
        (["2020-01-01", "unknown"], "signup holds 'unknown', which is no date"),
        ([20200101, 20210101], "signup holds 20200101, which is no date"),
        (["2020-02-30", "2020-02-28"], "signup holds '2020-02-30', which is no date"),
        ([True, False], "signup holds True, which is no date"),
    ],
)
def test_a_range_of_dates_on_something_else_fails_with_the_reason(values, reason):
    frame = tidy(pd.DataFrame({"signup": values}))

    outcome = run(frame, "values_to_be_between", column="signup", min_value=FIRST)

    assert not outcome.passed and reason in outcome.message


def test_two_columns_of_dates_are_compared_as_dates():
    frame = tidy(
        pd.DataFrame(
            {
                "sent": ["2026-01-01T10:00+09:00", "2026-03-01T00:00Z"],
                "ordered": ["2026-01-01T02:00", "2026-02-01"],
            }
        )
    )

    outcome = run(
        frame,
        "pair_values_a_to_be_greater_than_b",
        column_A="sent",
        column_B="ordered",
    )

    assert outcome.unexpected_count == 1


def test_dates_beyond_what_nanoseconds_hold_are_dates():
    frame = tidy(pd.DataFrame({"end": ["9999-12-31", "0001-01-01", "2026-01-01"]}))

    outcome = run(frame, "values_to_be_between", column="end", max_value=LAST)

    assert outcome.examples == ("9999-12-31",)


@pytest.mark.parametrize(
    "values, listed, bad",
    [
        ([1, 2, 3], ["1", "2"], 1),
        ([1.5, 2.5], ["1.5", 2.5], 0),
        (["1", "2", "x"], [1, 2], 1),
        ([True, False], ["true"], 1),
        ([True, None, False], [True], 1),
        (["a", "b"], ["a"], 1),
        ([1, 2], ["a", 1], 1),
    ],
)
def test_a_set_is_compared_in_the_type_of_its_column(values, listed, bad):
    frame = tidy(pd.DataFrame({"code": values}))

    inside = run(frame, "values_to_be_in_set", column="code", value_set=listed)
    outside = run(frame, "values_to_not_be_in_set", column="code", value_set=listed)

    assert inside.unexpected_count == bad
    known = frame["code"].notna().sum()
    assert outside.unexpected_count == known - bad


@pytest.mark.parametrize(
    "rule, kwargs",
    [
        ("values_to_be_between", {"column": "text", "min_value": 0}),
        ("max_to_be_between", {"column": "text", "max_value": 10}),
        ("min_to_be_between", {"column": "text", "min_value": 0}),
        ("mean_to_be_between", {"column": "text", "max_value": 10}),
        ("sum_to_be_between", {"column": "text", "max_value": 10}),
        ("stdev_to_be_between", {"column": "text", "max_value": 10}),
        ("median_to_be_between", {"column": "text", "max_value": 10}),
        (
            "value_z_scores_to_be_less_than",
            {"column": "text", "threshold": 3, "double_sided": True},
        ),
        (
            "values_to_be_between",
            {"column": "n", "min_value": 0, "row_condition": "gone == 1"}
            | {"condition_parser": "pandas"},
        ),
        (
            "values_to_be_between",
            {"column": "n", "min_value": 0, "row_condition": "n =="}
            | {"condition_parser": "pandas"},
        ),
        ("values_to_match_json_schema", {"column": "text", "json_schema": {"type": 1}}),
        ("values_to_be_of_type", {"column": "n", "type_": "nothing"}),
    ],
)
def test_what_cannot_be_evaluated_never_passes(rule, kwargs):
    frame = tidy(pd.DataFrame({"text": ["a", "5", "7"], "n": [1, 2, 3]}))

    outcome = run(frame, rule, **kwargs)

    assert not outcome.passed


def test_a_range_of_dates_that_ends_before_it_begins_is_refused():
    item = {"column": "day", "min_value": LAST, "max_value": "2020-01-01"}
    with pytest.raises(ExpectationError, match="2026-01-01 is above max_value"):
        run_expectations(
            pd.DataFrame({"day": DAYS}), [{"expect_column_values_to_be_between": item}]
        )


def test_a_check_on_dates_runs_in_a_job(make_spec, tmp_path, instance):
    from ml_assets.assets.common import TABLES
    from ml_assets.assets.ingestion import build as ingestion
    from ml_assets.assets.io_managers import TableIOManager
    from ml_assets.assets.validation import build as validation

    rows = pd.DataFrame(
        {"day": DAYS * 5, "n": range(20), "churned": ["yes", "no"] * 10}
    )
    rows.to_parquet(tmp_path / "rows.parquet")
    spec = make_spec(
        source={"type": "parquet", "path": str(tmp_path / "rows.parquet")},
        expect=[
            {
                "expect_column_values_to_be_between": {
                    "column": "day",
                    "min_value": FIRST,
                    "max_value": LAST,
                }
            }
        ],
    )
    import dagster as dg

    parts = [part(spec) for part in (ingestion, validation)]
    defs = dg.Definitions.merge(
        *parts, dg.Definitions(resources={TABLES: TableIOManager()})
    )

    done = defs.resolve_implicit_global_asset_job_def().execute_in_process(
        instance=instance, raise_on_error=False
    )

    found = {e.check_name: e for e in done.get_asset_check_evaluations()}
    check = found["day_between_2020_01_01_and_2026_01_01"]
    assert not check.passed
    assert "5 of 15 values are outside 2020-01-01..2026-01-01" in str(check.description)
