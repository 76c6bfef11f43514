"""The schema contract: what it learns, and how changed data breaks it."""

import json

import numpy as np
import pandas as pd
import pytest

from ml_assets.ml.column_contract import Violation
from ml_assets.ml.contract import Contract

ROWS = 1_000


def accepted() -> pd.DataFrame:
    """Rows that a contract is learnt from."""
    every = np.arange(ROWS)
    return pd.DataFrame(
        {
            "age": every % 73 + 17,
            "wage": np.where(every % 20 == 0, np.nan, every / 10),
            "sex": pd.Categorical(np.where(every % 3 == 0, "Female", "Male")),
            "smoker": every % 2 == 0,
            "customer_id": [f"c-{number}-{number % 7}" for number in every],
        }
    )


def found(frame: pd.DataFrame) -> list[tuple[str, str, str | None]]:
    """Rule, severity and column of each violation of `frame`."""
    violations = Contract.learn(accepted()).compare(frame)
    return [(item.rule, item.severity, item.column) for item in violations]


def message(frame: pd.DataFrame) -> str:
    """The only violation of `frame`, in words."""
    (violation,) = Contract.learn(accepted()).compare(frame)
    return violation.message


def with_values(column: str, values: list, rows: int) -> pd.DataFrame:
    """Accepted rows of which the first `rows` hold `values` in `column`."""
    frame = accepted()
    changed = frame[column].astype(object)
    changed.iloc[:rows] = [values[n % len(values)] for n in range(rows)]
    dtype = "category" if column == "sex" else "float64"
    return frame.assign(**{column: changed.astype(dtype)})


def test_the_same_data_breaks_nothing():
    assert found(accepted()) == []


def test_strings_count_as_categories_whatever_pandas_calls_them():
    for dtype in ("object", "str"):
        assert found(accepted().astype({"sex": dtype})) == []


def test_it_learns_kinds_missing_shares_categories_and_ranges():
    columns = {column.name: column for column in Contract.learn(accepted()).columns}
    assert list(columns) == ["age", "wage", "sex", "smoker", "customer_id"]
    assert [column.kind for column in columns.values()] == [
        "integer",
        "number",
        "string",
        "boolean",
        "string",
    ]
    assert (columns["age"].low, columns["age"].high) == (17.0, 89.0)
    assert columns["wage"].missing == 0.05 and columns["wage"].nullable
    assert columns["sex"].categories == {"Female": 334, "Male": 666}


def test_json_is_the_same_for_the_same_data_and_reads_back():
    contract = Contract.learn(accepted())
    assert contract.to_json() == Contract.learn(accepted()).to_json()
    assert Contract.from_json(contract.to_json()) == contract
    assert json.loads(contract.to_json())["rows"] == ROWS


TABLE = [
    (
        "a missing column",
        lambda f: f.drop(columns="sex"),
        "missing_column",
        "error",
        "sex",
    ),
    ("a new column", lambda f: f.assign(height=1.8), "new_column", "warning", "height"),
    (
        "a column spelt otherwise beside the old one",
        lambda f: f.assign(**{"Customer ID": "x"}),
        "clashing_column",
        "error",
        "Customer ID",
    ),
    ("another order", lambda f: f[f.columns[::-1]], "column_order", "warning", None),
    ("a truncated export", lambda f: f.head(499), "row_count", "error", None),
    ("half the rows", lambda f: f.head(500), None, None, None),
    (
        "numbers as text",
        lambda f: f.assign(age=f["age"].astype(str)),
        "changed_type",
        "error",
        "age",
    ),
    (
        "booleans as yes and no",
        lambda f: f.assign(smoker=np.where(f["smoker"], "yes", "no")),
        "changed_type",
        "error",
        "smoker",
    ),
    (
        "text as numbers",
        lambda f: f.assign(sex=np.arange(ROWS)),
        "changed_type",
        "error",
        "sex",
    ),
    (
        "a fraction among whole numbers",
        lambda f: f.assign(age=f["age"] + 0.5),
        "changed_type",
        "error",
        "age",
    ),
    (
        "dates as text",
        lambda f: f.assign(age=pd.Timestamp("2026-01-01")),
        "changed_type",
        "error",
        "age",
    ),
    (
        "1 % of the rows unseen",
        lambda f: with_values("sex", ["Other"], 10),
        "unseen_category",
        "warning",
        "sex",
    ),
    (
        "more than 1 % of the rows unseen",
        lambda f: with_values("sex", ["Other"], 11),
        "unseen_category",
        "error",
        "sex",
    ),
    (
        "a common category vanished",
        lambda f: f.assign(sex="Male"),
        "vanished_category",
        "warning",
        "sex",
    ),
    ("a few new maxima", lambda f: with_values("wage", [101], 10), None, None, None),
    (
        "many new maxima",
        lambda f: with_values("wage", [101], 11),
        "out_of_range",
        "warning",
        "wage",
    ),
    (
        "one value far outside",
        lambda f: with_values("wage", [1e6], 1),
        "out_of_range",
        "warning",
        "wage",
    ),
    (
        "another unit",
        lambda f: f.assign(wage=f["wage"] * 100),
        "out_of_range",
        "error",
        "wage",
    ),
    (
        "infinite values",
        lambda f: with_values("wage", [np.inf], 20),
        "out_of_range",
        "error",
        "wage",
    ),
    (
        "a few missing where none was",
        lambda f: with_values("sex", [None], 1),
        "missing_values",
        "warning",
        "sex",
    ),
    (
        "2 points more missing",
        lambda f: f.assign(wage=f["wage"].where(np.arange(ROWS) % 50 != 1)),
        None,
        None,
        None,
    ),
    (
        "10 points more missing",
        lambda f: f.assign(wage=f["wage"].where(np.arange(ROWS) % 10 != 1)),
        "missing_values",
        "warning",
        "wage",
    ),
    (
        "20 points more missing",
        lambda f: f.assign(wage=f["wage"].where(np.arange(ROWS) % 5 != 1)),
        "missing_values",
        "error",
        "wage",
    ),
    (
        "nothing but missing values",
        lambda f: f.assign(sex=None),
        "missing_values",
        "error",
        "sex",
    ),
]


@pytest.mark.parametrize(
    "change, rule, severity, column",
    [row[1:] for row in TABLE],
    ids=[row[0] for row in TABLE],
)
def test_a_change_of_the_data_is_judged(change, rule, severity, column):
    expected = [] if rule is None else [(rule, severity, column)]
    assert found(change(accepted())) == expected


def test_whole_numbers_that_missing_values_turn_into_floats_are_explained():
    frame = with_values("age", [None], 3)
    assert found(frame) == [
        ("missing_values", "warning", "age"),
        ("changed_type", "warning", "age"),
    ]
    messages = [item.message for item in Contract.learn(accepted()).compare(frame)]
    assert messages[1] == (
        "column age: found number values (dtype float64), expected integer"
        " (dtype int64): whole, but 3 missing values make them floats"
    )


def test_booleans_that_missing_values_turn_into_text_and_back_are_a_warning():
    plain = pd.DataFrame({"smoker": [True, False] * 50})
    text = plain["smoker"].astype(str).astype("category")
    gaps = pd.DataFrame({"smoker": text.where(text.index > 0)})
    there, back = Contract.learn(plain), Contract.learn(gaps)
    assert [(item.rule, item.severity) for item in there.compare(gaps)] == [
        ("missing_values", "warning"),
        ("changed_type", "warning"),
    ]
    assert [(item.rule, item.severity) for item in back.compare(plain)] == [
        ("changed_type", "warning")
    ]


def test_numbers_that_happen_to_be_whole_are_a_warning():
    contract = Contract.learn(pd.DataFrame({"wage": [1.5, 2.0, 3.0]}))
    (violation,) = contract.compare(pd.DataFrame({"wage": [2, 2, 3]}))
    assert (violation.rule, violation.severity) == ("changed_type", "warning")


@pytest.mark.parametrize(
    "change, text",
    [
        (
            lambda f: f.rename(columns={"sex": "sexe"}).drop(columns="sexe"),
            "column sex: missing, found age, wage, smoker, customer_id",
        ),
        (
            lambda f: with_values("sex", ["Other"], 11),
            "column sex: 11 of 1,000 rows (1.1 %) hold values never seen before:"
            " 'Other'; expected one of 'Male', 'Female'",
        ),
        (
            lambda f: f.head(400),
            "the table: 400 rows, expected at least 50 % of the 1,000 of the last"
            " accepted data",
        ),
        (
            lambda f: with_values("wage", [1e6], 1),
            "column wage: 1 of 951 values are far outside 0.1..99.9,"
            " from 1e+06 to 1e+06",
        ),
        (
            lambda f: with_values("sex", [None], 1),
            "column sex: 0.1 % of the values are missing, expected about 0 %",
        ),
    ],
)
def test_a_message_names_the_column_what_was_found_and_what_was_expected(change, text):
    assert message(change(accepted())) == text


def test_a_renamed_column_is_recognised():
    violations = Contract.learn(accepted()).compare(
        accepted().rename(columns={"smoker": "is_smoker"})
    )
    assert [item.rule for item in violations] == ["new_column", "missing_column"]
    assert violations[1].message == (
        "column smoker: missing, found is_smoker; perhaps it is now called is_smoker"
    )


def test_an_empty_table_is_a_collapse_and_not_a_crash():
    assert found(accepted().head(0)) == [("row_count", "error", None)]
    assert {rule for rule, *_ in found(pd.DataFrame())} == {
        "row_count",
        "missing_column",
    }


def test_a_repeated_column_is_an_error_and_is_not_learnt():
    frame = pd.concat([accepted(), accepted()[["age"]]], axis=1)
    assert ("repeated_column", "error", "age") in found(frame)
    with pytest.raises(ValueError, match="unique, found age repeatedly"):
        Contract.learn(frame)


def test_no_rows_cannot_be_learnt_from():
    with pytest.raises(ValueError, match="needs rows"):
        Contract.learn(accepted().head(0))


def test_a_constant_column_has_room_around_its_value():
    contract = Contract.learn(pd.DataFrame({"year": [2026] * 10}))
    assert contract.compare(pd.DataFrame({"year": [2026] * 9 + [2027]}))[
        0
    ].severity == ("warning")
    assert contract.compare(pd.DataFrame({"year": [9999] * 10}))[0].severity == "error"


def test_free_text_is_not_compared_value_by_value():
    every = [f"c-{number}" for number in range(2_000)]
    contract = Contract.learn(pd.DataFrame({"customer": every}))
    assert contract.columns[0].categories is None
    assert (
        contract.compare(pd.DataFrame({"customer": [f"new-{c}" for c in every]})) == []
    )


def test_violations_are_json():
    frame = with_values("wage", [np.inf], 20).drop(columns="sex").assign(height=1.0)
    for violation in Contract.learn(accepted()).compare(frame):
        assert isinstance(violation, Violation)
        json.dumps([violation.found, violation.expected], allow_nan=False)


def test_ignored_columns_may_be_anything_or_nothing() -> None:
    accepted = pd.DataFrame({"age": [39, 50] * 20, "batch": ["a", "b"] * 20})
    contract = Contract.learn(accepted)
    later = accepted.assign(batch=7, other=1)

    assert contract.compare(later.drop(columns="other"), ignored=["batch"]) == []
    assert contract.compare(later, ignored=["batch", "other"]) == []
    assert contract.compare(accepted[["age"]], ignored=["batch"]) == []
    assert [v.column for v in contract.compare(later, ignored=["age"])] == [
        *("other", "batch")
    ]
