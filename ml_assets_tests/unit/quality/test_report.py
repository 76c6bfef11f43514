"""The validation report and its table for the UI."""

import datetime
import json

import pandas as pd

from ml_assets.ml.column_contract import Violation
from ml_assets.ml.contract import Contract
from ml_assets.quality import (
    ExpectationOutcome,
    build_report,
    run_expectations,
    summarise,
)


def outcome(
    name: str, passed: bool, message: str = "text", **more
) -> ExpectationOutcome:
    return ExpectationOutcome(
        name=name,
        expectation="expect_column_values_to_not_be_null",
        kwargs=more.pop("kwargs", {"column": "age"}),
        passed=passed,
        message=message,
        **more,
    )


def violation(severity: str, rule: str = "new_column") -> Violation:
    return Violation(
        rule=rule, severity=severity, column="age", message=f"{rule} found"
    )


def test_the_report_holds_what_was_checked_on_which_data():
    report = build_report("census_income", "5b00", [outcome("a", True)], [], rows=3)
    assert report["model"] == "census_income"
    assert report["data_version"] == "5b00"
    assert report["rows"] == 3
    assert report["expectations"][0]["name"] == "a"
    assert report["violations"] == []


def test_a_failed_expectation_or_a_contract_error_fails_the_report():
    def passed(outcomes, violations):
        report = build_report("m", "v", outcomes, violations, rows=1)
        return report["summary"]["passed"]

    assert passed([outcome("a", True)], [violation("warning")])
    assert not passed([outcome("a", False)], [])
    assert not passed([outcome("a", True)], [violation("error")])


def test_the_summary_counts():
    report = build_report(
        "m",
        "v",
        [outcome("a", True), outcome("b", False)],
        [violation("warning"), violation("error", "row_count"), violation("error")],
        rows=1,
    )
    assert report["summary"] == {
        "passed": False,
        "expectations": 2,
        "failed": 1,
        "errors": 2,
        "warnings": 1,
    }
    assert [item["severity"] for item in report["violations"]] == [
        "error",
        "error",
        "warning",
    ]


def test_a_real_report_is_json_and_the_same_twice():
    frame = pd.DataFrame({"age": [1.0, float("inf"), None], "sex": ["a", "b", "c"]})
    rules = [
        {"expect_column_max_to_be_between": {"column": "age", "max_value": 3}},
        {"expect_column_values_to_be_in_set": {"column": "sex", "value_set": ["a"]}},
    ]
    violations = Contract.learn(frame.head(1)).compare(frame)

    def text() -> str:
        outcomes = run_expectations(frame, rules)
        report = build_report("m", "v", outcomes, violations, rows=len(frame))
        return json.dumps(report, allow_nan=False)

    assert text() == text()


def test_keywords_that_json_lacks_become_text():
    since = outcome("a", True, kwargs={"min_value": datetime.date(2026, 1, 2)})
    report = build_report("m", "v", [since], [], rows=1)
    assert report["expectations"][0]["kwargs"] == {"min_value": "2026-01-02"}


def test_the_table_shows_what_failed_first():
    outcomes = [outcome("fine", True, "all good"), outcome("bad", False, "3 are wrong")]
    violations = [violation("warning"), violation("error", "row_count")]
    text = summarise(build_report("m", "v", outcomes, violations, rows=32561))
    assert text.splitlines() == [
        "**failed**: 32,561 rows, 1 of 2 expectations failed;"
        " contract: 1 errors, 1 warnings",
        "",
        "| result | check | finding |",
        "| --- | --- | --- |",
        "| failed | contract: row_count | row_count found |",
        "| failed | bad | 3 are wrong |",
        "| warning | contract: new_column | new_column found |",
        "| passed | fine | all good |",
    ]


def test_values_of_the_data_cannot_break_out_of_the_table():
    evil = "e.g. a|b\nc `d` *e* [f](g) <script>"
    text = summarise(build_report("m", "v", [outcome("a", False, evil)], [], rows=1))
    assert text.splitlines()[-1] == (
        r"| failed | a | e.g. a\|b c \`d\` \*e\* \[f\](g) &lt;script&gt; |"
    )
